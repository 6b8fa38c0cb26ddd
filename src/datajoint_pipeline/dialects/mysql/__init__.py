"""MySQL 8.0.29 and later, 8.4 and 9."""
