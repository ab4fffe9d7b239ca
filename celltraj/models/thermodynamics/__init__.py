"""What a law of motion dissipates."""
