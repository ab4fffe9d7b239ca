"""Descendants, ancestors and fates along couplings."""
