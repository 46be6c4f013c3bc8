"""Ways into existing programs: each adapter is a module of its own, imported when it is used."""
