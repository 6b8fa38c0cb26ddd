"""Compute on many machines."""
