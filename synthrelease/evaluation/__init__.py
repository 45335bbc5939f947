"""Evaluation: real and synthetic rows in, measured results out. Runs no generator."""
