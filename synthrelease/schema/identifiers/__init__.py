"""Direct identifiers: their names, shapes and check digits, and the refusal to learn them."""
