"""Schema: what a column is (schema file, kinds, dates, constraints, identifiers, generalisation)."""
