"""Slow modes of laws and couplings, the sets of cells that they tell apart, and their rates."""
