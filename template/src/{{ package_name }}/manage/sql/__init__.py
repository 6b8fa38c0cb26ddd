"""Lowers operations to statements of MySQL and PostgreSQL; nothing else knows their SQL of tables."""
