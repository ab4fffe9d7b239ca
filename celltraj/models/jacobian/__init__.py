"""How laws of motion change with the state, and which genes move which."""
