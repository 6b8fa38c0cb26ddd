"""Read a database and the files, and plan what is to be done; change nothing."""
