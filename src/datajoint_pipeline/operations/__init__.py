"""The operations of a migration: what each does to the tables, its inverse, and its line in a file."""
