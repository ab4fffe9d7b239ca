"""What clones say of a law of motion."""
