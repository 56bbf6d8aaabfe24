"""Where models are: chat completions over HTTP, and a demonstration of our own."""
