"""Versions, schema migrations and a command line for DataJoint pipelines."""
