"""What there is to do in a database, what it would meet there, and what was changed behind everybody's back."""
