"""Privacy: accounting, noise, the claim, bounds on attacks. Knows no table format and no generator."""
