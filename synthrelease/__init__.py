"""synthrelease: build, audit and gate synthetic tables."""
