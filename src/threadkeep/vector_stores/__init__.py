"""Vector stores: files that can be searched."""
