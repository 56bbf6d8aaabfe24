"""Assistants: a model with instructions and tools."""
