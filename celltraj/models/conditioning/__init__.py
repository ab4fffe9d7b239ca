"""Conditioned paths: a law of motion, given what becomes of its cells."""
