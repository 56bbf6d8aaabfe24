"""Measurements of ingestion: how fast files become searchable, what it takes, and what others notice."""
