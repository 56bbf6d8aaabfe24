"""GET /openapi.json: the server described by its own table of routes and its own Structs (OpenAPI 3.1)."""

from threadkeep.http.openapi.document import document, encoded

__all__ = ["document", "encoded"]
