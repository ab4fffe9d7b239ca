"""How cells divide and die: sizes, rates, mass along paths."""
