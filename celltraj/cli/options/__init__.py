"""What the commands take, a module for each family of them; ``shared`` is what many take."""
