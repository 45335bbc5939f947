"""Encoding: tables as numbers, and back."""
