"""Virtual keys: names for upstream providers and their secrets."""
