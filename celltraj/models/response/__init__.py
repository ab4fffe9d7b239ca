"""Meta Flow Matching: the response of a population to a condition."""
