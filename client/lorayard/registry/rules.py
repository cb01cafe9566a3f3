"""`client.rules`: what chooses the adapter of jobs that name none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import nats.js.errors

from lorayard.answering import Answering
from lorayard.job_message import build_job, pack_job
from lorayard.registry.classifiers import Classifiers
from lorayard.registry.known import read_classifier, read_directory
from lorayard.request import GenerateRequest
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.routes import RouteTable
from lorayard_schemas.session import SessionRecord, session_key
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.resolve import UnknownAdapterError, kept_of
from lorayard_shared.jobs.tracing import Trace, trace
from lorayard_shared.registry.errors import RuleFileError
from lorayard_shared.registry.route_store import RouteStore
from lorayard_shared.registry.rule_file import read_rules

if TYPE_CHECKING:
    from lorayard.link import Link
    from lorayard_shared.bus.connection import Bus
    from lorayard_shared.jobs.directory import Directory

NO_RULES = (
    "there is no [[rule]] in it, so that none would be in force; --allow-empty (allow_empty=True) takes it "
    "anyway"
)


class Rules:
    """The rules of one yard: one table, put into force as a whole; the last 16 are kept.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    @property
    def classifier(self) -> Classifiers:
        """What chooses by what a prompt means: `await yard.rules.classifier.put("./classifier")`."""
        return Classifiers(self._open_link)

    async def set(
        self,
        rules: RouteTable | Path | str,
        *,
        check: bool = True,
        allow_empty: bool = False,
        reason: str = "",
    ) -> RouteTable:
        """Put rules into force: a table, a TOML file, or its text (docs/rules.md).

        The very rules that are in force stay as they are, with their revision. `check` refuses rules whose
        adapter or alias is not there; without `allow_empty` no rules at all are refused too.

        Raises:
            RuleFileError: the rules cannot be used, with the line where they are a text; nothing was changed.
            ContendedError: others changed them every time that this was tried.
        """
        source = str(rules) if isinstance(rules, Path) else "rules"
        wanted = await asyncio.to_thread(load_rules, rules, source=source, allow_empty=allow_empty)
        link = self._open_link()
        async with Answering(link):
            if check:
                _check(wanted, await read_directory(link.bus), source)
            store = RouteStore(link.bus)
            made = await store.put(wanted, link.author(reason))
            if check:
                await _look_again(link, store, made, source)
            return made

    async def get(self) -> RouteTable:
        """The rules in force; an empty table where there never were any."""
        past = await self.history()
        return past[-1] if past else RouteTable()

    async def history(self) -> tuple[RouteTable, ...]:
        """What the rules were and are, the newest last."""
        link = self._open_link()
        async with Answering(link):
            return await RouteStore(link.bus).past()

    async def rollback(self, *, to: int | None = None, reason: str = "") -> RouteTable:
        """Return to a revision; None: the one before this, past returns.

        Raises:
            RuleRevisionError: there is none.
            ContendedError: others changed them every time that this was tried.
        """
        link = self._open_link()
        async with Answering(link):
            return await RouteStore(link.bus).roll_back(to, link.author(reason))

    async def test(
        self,
        *,
        adapter: str | None = None,
        tenant: str | None = None,
        task: str | None = None,
        session: str | None = None,
        metadata: Mapping[str, str] | None = None,
        job: str = "-",
        prompt: str | None = None,
    ) -> Trace:
        """What would decide on a request, and why what comes before it would not; nothing is submitted.

        With a `prompt` the classifier in force is asked too: it is fetched to this machine for that.

        `tenant` is the client's unless given. `job` is what a split is drawn by where a request has neither
        user nor session. A request that would be refused is none the less answered: `refused` says why.

        Raises:
            InvalidRequestError: the prompt is none that can be submitted.
        """
        body = _body(prompt) if prompt is not None else None
        link = self._open_link()
        asked = Asked(
            tenant=tenant if tenant is not None else link.tenant,
            job=job,
            adapter=adapter,
            session=session,
            task=task,
            metadata=dict(metadata or {}),
            body=body,
        )
        async with Answering(link):
            there = await read_directory(link.bus)
            await read_classifier(link.bus, there, fetch=prompt is not None)
            record = await _session(link.bus, asked)
            if record is None:
                return trace(there, asked, None)
            return trace(there, replace(asked, bound=record.bound), kept_of(record))


def load_rules(rules: RouteTable | Path | str, *, source: str, allow_empty: bool) -> RouteTable:
    """What a table, a file or its text asks for; no bus is needed for that.

    Raises:
        RuleFileError: it cannot be used, naming file, line and field.
    """
    wanted = rules if isinstance(rules, RouteTable) else _read(rules, source)
    if not wanted.rules and not allow_empty:
        raise RuleFileError(source=source, line=None, field="", reason=NO_RULES)
    return wanted


def _read(rules: Path | str, source: str) -> RouteTable:
    try:
        text = rules.read_text(encoding="utf-8", errors="replace") if isinstance(rules, Path) else rules
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise RuleFileError(source=source, line=None, field="", reason=reason) from error
    return read_rules(text, source)


async def _look_again(link: Link, store: RouteStore, made: RouteTable, source: str) -> None:
    """Undo rules whose adapter was archived as they were set; whoever archives looks again, too."""
    try:
        _check(made, await read_directory(link.bus), source)
    except RuleFileError as error:
        await store.take_back(made, link.author(f"undone: {error.reason}"))
        raise


def _check(wanted: RouteTable, there: Directory, source: str) -> None:
    for rule in wanted.rules:
        for spec in rule.specs:
            try:
                there.check(spec)
            except UnknownAdapterError as error:
                reason = f"rule {rule.name!r}: {error.reason}; --no-check (check=False) takes it anyway"
                raise RuleFileError(source=source, line=None, field=rule.kind, reason=reason) from error


def _body(prompt: str) -> bytes:
    """As a job that is submitted has it."""
    return pack_job(build_job(GenerateRequest(prompt=prompt), job_id="-", now=0.0))


async def _session(bus: Bus, asked: Asked) -> SessionRecord | None:
    """What is known of the session."""
    if asked.session is None:
        return None
    bucket = await bus.js.key_value(bus.subjects.bucket("sessions"))
    try:
        entry = await bucket.get(session_key(asked.tenant, asked.session))
        return decode(SessionRecord, entry.value or b"")
    except (nats.js.errors.KeyNotFoundError, MalformedMessageError):
        return None
