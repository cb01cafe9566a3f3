"""Pause, resume, drain and cap: one way for lanes, tenants, adapters and workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from lorayard import Client, Running
from lorayard_cli.connection import client
from lorayard_cli.durations import duration, read_duration
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, no_negative
from lorayard_cli.output import counted, note, out, plain, print_json, print_text, table
from lorayard_cli.registry_changes import UNSIGNED, Signature
from lorayard_schemas.control import Cap, Controlled, Pause, label_of
from lorayard_schemas.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verbs:
    """What can be done to things of one kind."""

    kind: Controlled

    async def pause(
        self,
        name: str,
        *,
        lasting: Annotated[str | None, Parameter(name="--for", validator=duration)] = None,
        signature: Signature = UNSIGNED,
        yard: YardAddress = NEAREST,
        output: Output = TEXT,
    ) -> None:
        """Start none of its jobs for a while: they are taken, and wait. What runs goes on.

        Parameters
        ----------
        name
            What is paused.
        lasting
            It ends by itself after 90s, 10m, 2h or 1d; else `resume` ends it.
        """
        seconds = None if lasting is None else read_duration(lasting)
        async with client(yard, actor=signature.by) as connected:
            pause = await connected.control.pause(self.kind, name, reason=signature.why, for_seconds=seconds)
            await _warn_unless_there(connected, self.kind, name)
        _show(pause, output, f"paused: {pause.label}{_until(pause)}")

    async def resume(
        self,
        name: str,
        *,
        signature: Signature = UNSIGNED,
        yard: YardAddress = NEAREST,
        output: Output = TEXT,
    ) -> None:
        """Let its jobs start again, whether it was paused or drained.

        Parameters
        ----------
        name
            What was paused.
        """
        async with client(yard, actor=signature.by) as connected:
            pause = await connected.control.resume(self.kind, name, reason=signature.why)
        _show(pause, output, f"resumed: {pause.label}", key="resumed")

    async def drain(
        self,
        name: str,
        *,
        wait: Annotated[bool, Parameter(negative="")] = False,
        timeout: Annotated[float | None, Parameter(validator=no_negative)] = None,  # noqa: ASYNC109  # an option
        signature: Signature = UNSIGNED,
        yard: YardAddress = NEAREST,
        output: Output = TEXT,
    ) -> None:
        """Pause it for maintenance: what has not begun goes back at once, what runs is finished.

        Parameters
        ----------
        name
            What is drained.
        wait
            Until nothing of it runs, telling how much is left.
        timeout
            With --wait: end with 9 after so many seconds; it stays paused.
        """
        why = signature.why or "drained"
        async with client(yard, actor=signature.by) as connected:
            control = connected.control
            if not wait:
                pause = await control.begin_drain(self.kind, name, reason=why)
                await _warn_unless_there(connected, self.kind, name)
                _show(pause, output, f"draining: {pause.label}; --wait waits until it is empty")
                return
            await _warn_unless_there(connected, self.kind, name)
            progress = _Progress(label_of(self.kind, name))
            await control.drain(
                self.kind, name, reason=why, timeout_seconds=timeout, on_progress=progress.hear
            )
        if output.json:
            print_json({"kind": self.kind.value, "name": name, "empty": True})
        else:
            print_text(f"empty: {label_of(self.kind, name)}; `lorayard {self.kind}s resume {name}` ends it")

    async def cap(
        self,
        name: str,
        most: int,
        *,
        signature: Signature = UNSIGNED,
        yard: YardAddress = NEAREST,
        output: Output = TEXT,
    ) -> None:
        """Have at most so many of its jobs at workers at once.

        Parameters
        ----------
        name
            What is capped.
        most
            How many; 1 or more.
        """
        why = signature.why or "capped"
        async with client(yard, actor=signature.by) as connected:
            cap = await connected.control.cap(self.kind, name, most, reason=why)
            await _warn_unless_there(connected, self.kind, name)
        _show(cap, output, f"capped: {cap.label} to {counted(most, 'job')} at once")

    async def scale(
        self,
        name: str,
        *,
        rows: int | None = None,
        signature: Signature = UNSIGNED,
        yard: YardAddress = NEAREST,
        output: Output = TEXT,
    ) -> None:
        """Have a worker run at most so many jobs at once; without --rows as many as it has rows for.

        Parameters
        ----------
        name
            The worker.
        rows
            How many, up to the rows that it was started with.
        """
        if rows is None:
            await self.uncap(name, signature=signature, yard=yard, output=output)
        else:
            await self.cap(name, rows, signature=signature, yard=yard, output=output)

    async def uncap(
        self,
        name: str,
        *,
        signature: Signature = UNSIGNED,
        yard: YardAddress = NEAREST,
        output: Output = TEXT,
    ) -> None:
        """Take its cap away.

        Parameters
        ----------
        name
            What was capped.
        """
        async with client(yard, actor=signature.by) as connected:
            await connected.control.uncap(self.kind, name, reason=signature.why)
        if output.json:
            print_json({"uncapped": {"kind": self.kind.value, "name": name}})
        else:
            print_text(f"capped no more: {label_of(self.kind, name)}")


class _Progress:
    """Tells people how much is left, when that has changed."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._told = ""

    def hear(self, running: Running) -> None:
        """As it is now."""
        where = ", ".join(f"{count} at {worker}" for worker, count in sorted(running.jobs.items()))
        unheard = f"; not heard yet from {', '.join(running.unheard)}" if running.unheard else ""
        told = f"{self._label}: {counted(running.total, 'job')} left{f' ({where})' if where else ''}{unheard}"
        if told != self._told:
            self._told = told
            note(told)


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List what is paused, drained and capped, by whom, and why."""
    async with client(yard) as connected:
        found = await connected.control.list()
    if output.json:
        print_json(
            {
                "pauses": [one.model_dump(mode="json") for one in found.pauses],
                "caps": [one.model_dump(mode="json") for one in found.caps],
            }
        )
        return
    if not found.pauses and not found.caps:
        note("nothing is paused or capped")
        return
    shown = table("what", "is", "since", "until", "by", "why")
    for pause in found.pauses:
        until = _moment(pause.until) if pause.until is not None else "resumed"
        shown.add_row(*map(plain, (pause.label, pause.word, _moment(pause.at), until, pause.by, pause.why)))
    for cap in found.caps:
        word = f"capped to {cap.most}"
        shown.add_row(*map(plain, (cap.label, word, _moment(cap.at), "uncapped", cap.by, cap.why)))
    out().print(shown)


async def _warn_unless_there(connected: Client, kind: Controlled, name: str) -> None:
    """What hits nothing is more often a typing error than a precaution; any tenant may be meant."""
    if kind is Controlled.WORKER:
        there = any(advert.worker == name for advert in await connected.workers())
        hint = "`lorayard workers ls` shows who is"
        word = "alive"
    elif kind is Controlled.ADAPTER and name != "base":
        known = {spec for one in await connected.adapters() for spec in (one.name, one.label)}
        there, word, hint = name in known, "registered", "`lorayard adapters ls` shows what is"
    else:
        return
    if not there:
        note(f"warning: {kind} {name} is not {word}; {hint}")


def _show(said: Pause | Cap, output: Output, text: str, *, key: str | None = None) -> None:
    if output.json:
        document = _document(said)
        print_json(document if key is None else {key: document})
    else:
        print_text(text)


def _document(said: Message) -> object:
    return said.model_dump(mode="json")


def _until(pause: Pause) -> str:
    return "" if pause.until is None else f" until {_moment(pause.until)} UTC"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


_lane, _tenant = _Verbs(kind=Controlled.LANE), _Verbs(kind=Controlled.TENANT)
_adapter, _worker = _Verbs(kind=Controlled.ADAPTER), _Verbs(kind=Controlled.WORKER)

pause_lane, resume_lane, drain_lane = _lane.pause, _lane.resume, _lane.drain
cap_lane, uncap_lane = _lane.cap, _lane.uncap
pause_tenant, resume_tenant, drain_tenant = _tenant.pause, _tenant.resume, _tenant.drain
cap_tenant, uncap_tenant = _tenant.cap, _tenant.uncap
pause_adapter, resume_adapter, drain_adapter = _adapter.pause, _adapter.resume, _adapter.drain
cap_adapter, uncap_adapter = _adapter.cap, _adapter.uncap
pause_worker, resume_worker, drain_worker = _worker.pause, _worker.resume, _worker.drain
scale_worker = _worker.scale
