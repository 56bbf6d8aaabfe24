"""Files: bytes with a purpose."""
