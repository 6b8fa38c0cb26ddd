"""The PostgreSQL server that a project brings along. Knows nothing of pipelines."""
