"""Slices of a tissue: cells with places, registered upon each other and coupled."""
