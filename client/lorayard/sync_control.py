"""`Control`, blocking."""

from __future__ import annotations

from collections.abc import Callable

from lorayard.control import Control, Controls, Running
from lorayard.registry.calls import Calls
from lorayard_schemas.control import Cap, Controlled, Pause


class SyncControl:
    """Pauses and caps of one yard; every method raises as that of `Control` does."""

    def __init__(self, control: Control, thread: Callable[[], Calls]) -> None:
        self._control = control
        self._thread = thread

    def list(self) -> Controls:
        """What is paused and capped now."""
        return self._thread().call(self._control.list())

    def pause(
        self, kind: Controlled | str, name: str, *, reason: str, for_seconds: float | None = None
    ) -> Pause:
        """Let nothing of it start; see `Control.pause`."""
        return self._thread().call(self._control.pause(kind, name, reason=reason, for_seconds=for_seconds))

    def resume(self, kind: Controlled | str, name: str, *, reason: str = "") -> Pause:
        """Let jobs start again, of just what was paused or drained."""
        return self._thread().call(self._control.resume(kind, name, reason=reason))

    def drain(
        self,
        kind: Controlled | str,
        name: str,
        *,
        reason: str,
        timeout_seconds: float | None = None,
        on_progress: Callable[[Running], None] | None = None,
    ) -> None:
        """Pause it, and return once nothing of it runs; `on_progress` is called in the client's thread."""
        self._thread().call(
            self._control.drain(
                kind, name, reason=reason, timeout_seconds=timeout_seconds, on_progress=on_progress
            )
        )

    def begin_drain(self, kind: Controlled | str, name: str, *, reason: str) -> Pause:
        """Pause it for maintenance, and do not wait."""
        return self._thread().call(self._control.begin_drain(kind, name, reason=reason))

    def running(self, kind: Controlled | str, name: str) -> Running:
        """Jobs at workers of something that is paused or capped."""
        return self._thread().call(self._control.running(kind, name))

    def cap(self, kind: Controlled | str, name: str, most: int, *, reason: str) -> Cap:
        """Have at most so many jobs of it at workers at once; see `Control.cap`."""
        return self._thread().call(self._control.cap(kind, name, most, reason=reason))

    def uncap(self, kind: Controlled | str, name: str, *, reason: str = "") -> None:
        """Take just this cap away."""
        self._thread().call(self._control.uncap(kind, name, reason=reason))
