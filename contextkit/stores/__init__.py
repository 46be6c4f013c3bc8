"""Where histories are kept: in memory, or in SQLite and PostgreSQL; found by `kind`."""
