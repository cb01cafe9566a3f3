"""The HTTP server behind `/metrics`: a thread for each scrape, on one address, quiet about strangers."""

from __future__ import annotations

import socket
import sys
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

PEER_SECONDS = 10.0
"""For a peer that sends nothing, and for one to take a whole page: each holds a thread meanwhile."""

STOP_LOOK_SECONDS = 0.5
"""Between two looks whether it is to stop. Each look takes the interpreter from the event loop."""


class _Scrape(WSGIRequestHandler):
    timeout = PEER_SECONDS

    def log_message(self, format: str, *args: object) -> None:
        """Nowhere: scrapes are no news."""


class HttpServer(ThreadingMixIn, WSGIServer):
    """Listens from here on.

    Raises:
        OSError: the address cannot be had.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, app: WSGIApplication) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Scrape)
        self.set_app(app)

    def server_bind(self) -> None:
        """Without asking DNS for the name of this machine, as the library does: where nobody answers, that
        would hold up the event loop for many seconds."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that is slow or has gone is no news either."""
        if not isinstance(sys.exc_info()[1], TimeoutError | ConnectionError):
            super().handle_error(request, client_address)

    def serve(self) -> None:
        """Until `shutdown`, which any other thread may call."""
        self.serve_forever(STOP_LOOK_SECONDS)
