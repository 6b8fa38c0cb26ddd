"""What is on disk of a schema: migration files, snapshots, the chain of versions, version.py."""
