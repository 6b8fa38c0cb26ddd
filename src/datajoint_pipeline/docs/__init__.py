"""Pages of a pipeline: Markdown and pictures that are committed beside its code, and whether they are up to date."""
