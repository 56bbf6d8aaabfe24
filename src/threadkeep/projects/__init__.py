"""Projects, the tenants, and the API keys that open them."""
