"""The server's own interface in memory: what of `$JS.API` the client asks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lorayard.testing.memory_stream import Kept, MemoryStream
from lorayard_shared.bus.nats_client import header_block
from lorayard_shared.bus.scanning import PENDING

if TYPE_CHECKING:
    from lorayard.testing.memory_server import MemoryServer

_NO_MESSAGE = b"NATS/1.0 404 Message Not Found\r\n\r\n"
_END = b"NATS/1.0 204 EOB\r\n\r\n"
_NO_RESPONDERS = b"NATS/1.0 503\r\n\r\n"
STREAM_NOT_FOUND = 10059
NO_MORE: Mapping[str, str] = {}


class MemoryApi:
    """Answers to `inbox`, as the server does."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def answer(self, verb: str, inbox: str, body: bytes) -> None:
        """One request; `verb` is the subject behind `$JS.API.`."""
        asked: dict[str, Any] = json.loads(body) if body else {}
        if verb.startswith("DIRECT.GET."):
            self._direct(verb.removeprefix("DIRECT.GET."), inbox, asked)
            return
        what, _, name = verb.rpartition(".")
        stream = self._server.streams.get(name)
        if stream is None and what in ("STREAM.INFO", "STREAM.PURGE", "STREAM.MSG.DELETE", "STREAM.MSG.GET"):
            self._say(inbox, {"error": _not_found(STREAM_NOT_FOUND, "stream not found")})
        elif stream is None:
            self._server.send(inbox, b"", head=_NO_RESPONDERS)
        elif what == "STREAM.INFO":
            ts, wanted = self._server.timestamp, asked.get("subjects_filter")
            self._say(inbox, stream.info(subjects_filter=wanted, ts=ts, offset=asked.get("offset", 0)))
        elif what == "STREAM.PURGE":
            gone = [
                kept for kept in stream.after(asked.get("filter", ">"), 0) if stream.remove(kept.sequence)
            ]
            self._say(inbox, {"success": True, "purged": len(gone)})
        elif what == "STREAM.MSG.DELETE":
            self._delete(stream, inbox, int(asked["seq"]))
        elif what == "STREAM.MSG.GET":
            self._get(stream, inbox, asked)
        else:
            self._server.send(inbox, b"", head=_NO_RESPONDERS)

    def _delete(self, stream: MemoryStream, inbox: str, sequence: int) -> None:
        if stream.remove(sequence):
            self._say(inbox, {"success": True})
            return
        self._say(inbox, {"error": _not_found(10057, "stream msg delete failed: no message found", 500)})

    def _get(self, stream: MemoryStream, inbox: str, asked: dict[str, Any]) -> None:
        found = self._find(stream, asked)
        if found is None:
            self._say(inbox, {"error": _not_found(10037, "no message found")})
            return
        head = header_block(found.headers) if found.headers else b""
        told = {
            "subject": found.subject,
            "seq": found.sequence,
            "data": base64.b64encode(found.body).decode(),
            "hdrs": base64.b64encode(head).decode(),
            "time": self._server.lying(stream, found)["Nats-Time-Stamp"],
        }
        self._say(inbox, {"message": told})

    def _direct(self, where: str, inbox: str, asked: dict[str, Any]) -> None:
        name, _, subject = where.partition(".")
        stream = self._server.streams.get(name)
        if stream is None:
            self._server.send(inbox, b"", head=_NO_RESPONDERS)
        elif "multi_last" in asked:
            found = [kept for one in asked["multi_last"] if (kept := stream.last(one)) is not None]
            self._give_all(stream, inbox, found)
        elif "batch" in asked:
            page = list(stream.after(asked.get("next_by_subj", ">"), int(asked.get("seq", 0))))
            most = int(asked["batch"])
            self._give_all(stream, inbox, page[:most], behind=len(page[most:]))
        else:
            kept = stream.last(subject) if subject else self._find(stream, asked)
            if kept is None:
                self._server.send(inbox, b"", head=_NO_MESSAGE)
            else:
                self._give(stream, inbox, kept)

    def _find(self, stream: MemoryStream, asked: dict[str, Any]) -> Kept | None:
        if "last_by_subj" in asked:
            return stream.last(asked["last_by_subj"])
        if "next_by_subj" in asked:
            return next(stream.after(asked["next_by_subj"], int(asked.get("seq", 0))), None)
        return stream.get(int(asked.get("seq", 0)))

    def _give_all(self, stream: MemoryStream, inbox: str, found: list[Kept], *, behind: int = 0) -> None:
        for place, kept in enumerate(found, start=1):
            self._give(stream, inbox, kept, {PENDING: str(behind + len(found) - place)})
        self._server.send(inbox, b"", head=_END if found else _NO_MESSAGE)

    def _give(self, stream: MemoryStream, inbox: str, kept: Kept, more: Mapping[str, str] = NO_MORE) -> None:
        head = header_block({**kept.headers, **self._server.lying(stream, kept), **more})
        self._server.send(inbox, kept.body, head=head)

    def _say(self, inbox: str, told: dict[str, Any]) -> None:
        if inbox:
            self._server.send(inbox, json.dumps(told).encode())


def _not_found(code: int, description: str, status: int = 404) -> dict[str, Any]:
    return {"code": status, "err_code": code, "description": description}
