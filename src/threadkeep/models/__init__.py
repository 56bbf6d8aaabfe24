"""Models: what runs can be asked of, as far as the providers say it."""
