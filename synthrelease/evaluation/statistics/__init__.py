"""Statistics that the checks stand on: intervals, exchange tests, neighbours, distances."""
