"""Time courses under several conditions: laws that conditions share, and a bridge of each."""
