"""Laws of cells that move as their population is, and a bridge of each population."""
