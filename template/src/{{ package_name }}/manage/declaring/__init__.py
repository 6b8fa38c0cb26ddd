"""Reads the model from code."""
