"""What is on disk of a schema's history: migrations, snapshots, version.py."""
