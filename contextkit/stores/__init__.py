"""Where histories are kept: in memory, or in SQLite and PostgreSQL. Found by `kind`, imported late."""
