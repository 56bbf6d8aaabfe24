"""Files on their way into vector stores: their text, in chunks, with vectors, into the index."""
