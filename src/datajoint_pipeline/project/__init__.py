"""A project and its environments: settings, credentials, TLS, the guard, the graph of its modules."""
