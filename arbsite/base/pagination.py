"""Lists leave as ``{"results": [...], "next": url|null}``, newest first, at most 200 a page."""

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor as Cursor_
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response


class Cursor(CursorPagination):
    """Pages by id, so that rows born meanwhile shift nothing."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"
    ordering = "-id"

    def decode_cursor(self, request: Request) -> Cursor_ | None:
        """The place to go on from. Raises: NotFound for one that we did not write."""
        cursor = super().decode_cursor(request)
        place = str(cursor.position) if cursor and cursor.position is not None else "0"
        if not (place.isascii() and place.isdigit() and len(place) < 20):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        """The page and where the next one is."""
        return Response({"results": data, "next": self.get_next_link()})

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        """OpenAPI's words for it."""
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {
                "results": schema,
                "next": {"type": "string", "format": "uri", "nullable": True},
            },
        }
