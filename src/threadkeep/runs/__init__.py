"""Runs: executions of an assistant on a thread, and their steps."""
