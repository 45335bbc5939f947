"""Synthesis: training rows in, synthetic rows out."""
