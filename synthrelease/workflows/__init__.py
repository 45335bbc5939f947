"""Workflows: one module a command, and the steps between stages."""
