"""The application around the one screen."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from lorayard_cli.top.board import Board
from lorayard_cli.top.feed import Feed
from lorayard_cli.top.looking import Looking
from lorayard_cli.top.tenants import TenantClients

_ENDS = (signal.SIGTERM, signal.SIGHUP)


class Top(App[None]):
    """`lorayard top`."""

    TITLE = "lorayard top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c,ctrl+q", "quit", show=False, priority=True)]
    CSS = """
    Screen { background: $background; layout: vertical; overflow: hidden; }
    Static { height: auto; }
    #header, #tabs, #keys { height: 1; }
    Grid { height: 1fr; }
    #detail { height: 3; background: $surface; }
    #status { max-height: 3; min-height: 1; background: $surface; }
    #filter { height: 1; }
    ModalScreen { align: center middle; background: $background 60%; }
    .frame {
        width: 72; max-width: 100%; height: auto; max-height: 100%;
        border: round $primary; padding: 0 1; background: $background;
    }
    .wide { width: 96; }
    .frame VerticalScroll { height: auto; max-height: 100%; }
    .frame OptionList { height: auto; max-height: 12; border: none; }
    .apart { margin: 1 0 0 0; }
    """

    def __init__(
        self,
        feed: Feed,
        clients: TenantClients | None,
        *,
        yard: str,
        interval_seconds: float = 2.0,
        read_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Without colour nothing is drawn but what the terminal itself has: bold, dim and reversed.
        super().__init__(ansi_color=bool(os.environ.get("NO_COLOR")) or None)
        self._looking = Looking(feed, interval_seconds=interval_seconds, clock=clock)
        self._board = Board(self._looking, clients, yard=yard, read_only=read_only)

    @property
    def board(self) -> Board:
        """The screen below all dialogs."""
        return self._board

    def get_default_screen(self) -> Board:
        """The only one but for dialogs."""
        return self._board

    def on_mount(self) -> None:
        """A terminal that is closed, or a stop from outside, leaves it as it was."""
        loop = asyncio.get_running_loop()
        for name in _ENDS:
            with suppress(NotImplementedError, RuntimeError):  # no signals there, or not this thread's
                loop.add_signal_handler(name, self.exit)
