"""From ASGI to endpoints and back."""
