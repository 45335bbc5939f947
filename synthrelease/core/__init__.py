"""Core: frozen types that cross stages, errors, formatting of numbers, whole files. Knows nobody."""
