"""Runs plans, resumes and verifies them: the only package that changes a pipeline's tables."""
