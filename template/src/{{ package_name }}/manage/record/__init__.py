"""What a database remembers: the journal and the steps."""
