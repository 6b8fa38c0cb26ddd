"""Run plans, resume and verify them: the only package that changes a pipeline's tables."""
