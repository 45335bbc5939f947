"""Inspect: draft a schema from a table."""
