"""The append-only log: SQLite to write, DuckDB to read."""
