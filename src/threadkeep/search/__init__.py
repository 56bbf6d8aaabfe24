"""The words of files, found again: chunks, their index, and who searches in it."""
