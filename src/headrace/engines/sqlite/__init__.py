"""The embedded engine: one SQLite database, one process, group commit."""
