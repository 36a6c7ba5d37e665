"""Middleware that keeps a served page from naming or asking other hosts."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

OTHER_HOST = re.compile(r"<meta[^>]*https?://(?!127\.0\.0\.1)[^>]*>")  # previews for social networks
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"  # Gradio compiles its templates


class OwnHostOnly(BaseHTTPMiddleware):
    """Remove links of Gradio's page to other hosts, forbid the browser to ask any, and refuse other sites' requests.

    A page of another site cannot read answers, but its browser sends what it posts: without the refusal it could add
    images and upload files.
    """

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answer a request; an HTML page is changed, everything else passes through."""
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return PlainTextResponse("The explorer answers only its own page.", status_code=403)
        # On one machine, compression costs time; and a compressed page could not be changed.
        request.scope["headers"] = [each for each in request.scope["headers"] if each[0] != b"accept-encoding"]
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        if not response.headers.get("content-type", "").startswith("text/html"):
            return response
        stream: Any = response  # BaseHTTPMiddleware makes every response a stream of bytes
        content = b"".join([chunk async for chunk in stream.body_iterator])
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return Response(OTHER_HOST.sub("", content.decode()), response.status_code, headers)
