"""Measurements of search: how good its answers are, how long they take."""
