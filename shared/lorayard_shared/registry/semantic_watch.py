"""Brings the classifier that was put into force to one process, off the path of its jobs.

Files are fetched and read beside the loop, and the jobs that wait are judged in a thread before the new
classifier counts: then it does all at once. Where it cannot be had, the one before goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.semantic import SEMANTIC_KEY, SemanticRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.errors import YardError
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.semantic_book import Standing
from lorayard_shared.logs import Event, process_logger
from lorayard_shared.registry.classifier_shelf import ClassifierShelf, ClassifierUnusableError
from lorayard_shared.semantic.errors import ArtifactError

if TYPE_CHECKING:
    from lorayard_shared.semantic.classifier import Classifier

RETRY_SECONDS = (1.0, 5.0, 15.0, 60.0)
"""After a failure; the last again and again: a store may be mended, a library installed."""

FETCH_SECONDS = 120.0
"""Some tens of megabytes from a server far away."""

FIRST_SECONDS = 10.0
"""That the first jobs of a process wait for the classifier; then they are served without it."""

COMING = "the classifier is being fetched"


class SemanticWatch:
    """Keeps the classifier of one directory what the bucket of rules says."""

    def __init__(
        self,
        bus: Bus,
        directory: Directory,
        *,
        cache: Path,
        waiting: Callable[[], Iterable[Asked]] = tuple,
        took: Callable[[], None] = lambda: None,
    ) -> None:
        """`waiting` are jobs that it may have a say on; `took` is told that it has changed."""
        self._shelf = ClassifierShelf(bus, cache)
        self._directory = directory
        self._waiting = waiting
        self._took = took
        self._wanted: SemanticRecord | None = None
        self.record: SemanticRecord | None = None
        """Of what is in force here."""
        self._woken = asyncio.Event()
        self._tried = asyncio.Event()
        self._tried.set()

    def on_change(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of rules; what cannot be read leaves the classifier there was."""
        if key != SEMANTIC_KEY:
            return
        try:
            record = decode(SemanticRecord, value) if value is not None else None
        except MalformedMessageError as error:
            process_logger().error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
            return
        wanted = record if record is not None and record.is_on else None
        if wanted == self._wanted:
            return  # listed anew
        self._wanted = wanted
        self._tried.clear()
        if wanted is not None and self._directory.semantic.standing is None:
            self._directory.semantic.put(None, COMING)
        self._woken.set()

    def encoder(self) -> str | None:
        """Digest of what reads prompts here; None: there is no classifier."""
        return self.record.encoder_digest if self.record is not None else None

    async def ready(self) -> None:
        """What is known to be in force has been tried to get once, or takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._tried.wait()

    async def run(self) -> None:
        """Follow the bucket until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            failures = 0
            while not await self._follow():
                self._tried.set()
                pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
                self._woken.clear()
            self._tried.set()

    async def _follow(self) -> bool:
        """Whether what is wanted is in force now."""
        wanted = self._wanted
        if wanted is None:
            self._put(None, None)
            return True
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                standing = await self._get(wanted)
        except (YardError, nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            self._fail(wanted, str(error) or type(error).__name__)
            return False
        except Exception as error:  # noqa: BLE001  # a library's own: jobs are served without it
            process_logger().exception(Event.LOOP_FAILED, what="classifier")
            self._fail(wanted, f"it cannot be read: {error}")
            return False
        if self._wanted is wanted:
            self._put(wanted, standing)
        return self._wanted is wanted

    async def _get(self, wanted: SemanticRecord) -> Standing:
        book = self._directory.semantic
        if self.record is not None and book.standing is not None and self.record.artifact == wanted.artifact:
            return book.standing.under(wanted.revision)  # the same once more
        standing = await fetch_standing(self._shelf, wanted)
        await self._judge(standing)
        return standing

    async def _judge(self, standing: Standing) -> None:
        """What waits, before it counts: ten thousand jobs take a second."""
        asked = list(self._waiting())
        choosable = self._directory.may_choose(standing.labels)
        allowed = {tenant: choosable.to(tenant) for tenant in {one.tenant for one in asked}}
        await asyncio.to_thread(_judge_all, standing, asked, allowed)

    def _put(self, record: SemanticRecord | None, standing: Standing | None) -> None:
        self.record = record
        self._directory.semantic.put(standing)
        revision = record.revision if record is not None else None
        process_logger().info(Event.CLASSIFIER_CHANGED, revision=revision)
        self._took()

    def _fail(self, wanted: SemanticRecord, reason: str) -> None:
        book = self._directory.semantic
        told = f"revision {wanted.revision} cannot be had: {reason}"
        if told != book.trouble:
            goes_on = self.record.revision if self.record is not None else None
            process_logger().error(
                Event.CLASSIFIER_FAILED, revision=wanted.revision, reason=reason, goes_on_with=goes_on
            )
        book.trouble = told


async def fetch_standing(shelf: ClassifierShelf, record: SemanticRecord) -> Standing:
    """A classifier that is on, ready to be asked; raises as `fetch_classifier`."""
    return Standing(await fetch_classifier(shelf, record), revision=record.revision)


async def fetch_classifier(shelf: ClassifierShelf, record: SemanticRecord) -> Classifier:
    """What a record names, compared with its digest.

    Raises:
        ClassifierUnusableError, ArtifactError: it cannot be used here, for that reason.
        FileMissingError: the store lacks a file of it.
        nats.errors.Error: no answer.
    """
    folder = await shelf.fetch(record)
    try:
        classifier = await asyncio.to_thread(_load, folder)
    except ArtifactError:  # not where numpy is missing: another fetch would help nobody
        await shelf.forget(record)
        raise
    if (digest := classifier.digest) != record.artifact:
        await shelf.forget(record)
        raise ClassifierUnusableError(f"its files make {digest}, and the record says {record.artifact}")
    return classifier


def _load(folder: Path) -> Classifier:
    """A classifier from its files.

    Raises:
        ClassifierUnusableError: what reads it is not installed.
        ArtifactError: a file of it is wrong.
    """
    try:
        # Only where there is one: a dispatcher runs without numpy.
        from lorayard_shared.semantic.classifier import Classifier
    except ImportError as error:
        reason = f"{error.name or error} is not installed; run: pip install 'lorayard[semantic]'"
        raise ClassifierUnusableError(reason) from error
    return Classifier.load(folder)


def _judge_all(standing: Standing, asked: Sequence[Asked], allowed: dict[str, frozenset[str]]) -> None:
    for one in asked:
        standing.judge(one, allowed[one.tenant])
