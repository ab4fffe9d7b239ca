"""Samples and batches of a study: how far they are apart, and what a design can tell."""
