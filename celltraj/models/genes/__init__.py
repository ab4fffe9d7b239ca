"""From components to genes and back."""
