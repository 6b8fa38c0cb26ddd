"""Changes databases: applies, goes on, reverts, keeps what is lost and puts it back."""
