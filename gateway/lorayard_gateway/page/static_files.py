"""The page's own files: read once, told by their digests, so that a browser keeps what it has."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from lorayard_gateway.page.errors import tenant_refused

FOLDER: Final = Path(__file__).parent / "static"

KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Others are not served."""


class StaticFiles:
    """All of them, in memory: some hundred kilobytes."""

    def __init__(self) -> None:
        found = (path for path in FOLDER.rglob("*") if path.suffix in KINDS)
        self._files = {_name(path): (path.read_bytes(), path.suffix) for path in found}
        self._tags = {name: _tag(body) for name, (body, _) in self._files.items()}

    async def answer(self, request: Request) -> Response:
        """One file; a folder's is its index.

        Raises:
            ApiError: there is none.
        """
        name: str = request.path_params.get("file", "") or "index.html"
        if name not in self._files:
            raise tenant_refused()
        body, suffix = self._files[name]
        headers = {"ETag": self._tags[name], "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=KINDS[suffix], headers=headers)


def _name(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:24]}"'
