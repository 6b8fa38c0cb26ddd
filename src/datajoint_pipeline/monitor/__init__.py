"""How the work on a pipeline stands: what is done, what failed, who works, and what a person has to know at once."""
