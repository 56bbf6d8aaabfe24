"""Threadkeep: a self-hosted, drop-in server for the Assistants API."""

__version__ = "0.1.0"
