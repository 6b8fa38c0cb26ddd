"""Who may do what: ``access.toml``, the rights that follow from it and from the foreign keys, and the way to them."""
