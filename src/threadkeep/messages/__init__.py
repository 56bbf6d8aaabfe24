"""Messages: the ordered, durable content of a thread."""
