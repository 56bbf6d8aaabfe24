"""Databases and blobs: the only rooms that know one engine from another."""
