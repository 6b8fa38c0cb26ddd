"""What goes from one database of a pipeline to another: a plan that is proved, and rows with what they refer to."""
