"""Embeddings made in this process, by a model in a directory. Needs the extra `local-embeddings`."""
