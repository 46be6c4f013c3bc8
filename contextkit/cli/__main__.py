"""`python -m contextkit.cli`: the `contextkit` command."""

from contextkit.cli import main

main()
