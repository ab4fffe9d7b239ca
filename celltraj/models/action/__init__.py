"""Paths of least action between states, under drift and noise."""
