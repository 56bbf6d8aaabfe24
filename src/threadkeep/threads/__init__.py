"""Threads: what messages belong to."""
