"""What a migration is made of: what each operation does to the tables, its inverse, and its line in a file."""
