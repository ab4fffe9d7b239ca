"""Statistics of samples and populations: arrays in, arrays out."""
