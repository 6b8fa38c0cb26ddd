"""Reads a database and the files, and says what is to be done; changes nothing."""
