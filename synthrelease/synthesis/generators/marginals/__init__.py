"""A generator that matches all tables of pairs at once."""
