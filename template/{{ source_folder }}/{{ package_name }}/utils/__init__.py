"""Helpers of the schema modules that need no database."""
