"""Reads the model from a live database."""
