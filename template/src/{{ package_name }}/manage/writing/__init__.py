"""Writes what is on disk: migrations and snapshots from changed code, new schemas."""
