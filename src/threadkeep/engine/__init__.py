"""The run engine: who works which run, and what a turn of the model does."""
