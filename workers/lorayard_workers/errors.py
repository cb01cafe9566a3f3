"""What can go wrong in a worker, split by who must act.

WorkerError
├── BaseModelError          operator: the base model's folder
│   ├── BaseModelMissingError        nothing usable at the path
│   └── BaseModelUnsupportedError    a model this engine cannot run rightly
├── AdapterNotFoundError    operator: a setting names one that is not there
├── AdapterUnknownError     operator: no folder for this digest
├── PackedFileError         nobody: the file is thrown away and made anew
├── RequestRefusedError          caller: the request itself; no attempt can succeed
├── CapacityError        operator: the thing is sound but larger than a configured limit
├── WorkerSpentError     supervisor: the process is started anew
│   ├── EngineDiedError              its engine's threads ended, or every step fails
│   └── WorkerHungError              one of its threads makes no progress
└── InvariantError         us: a `check()` found the books wrong

What is wrong with an adapter's files is a lorayard_shared.adapters.errors.AdapterError in every part of a
yard; the two about adapters here are of that kind too.
"""

from __future__ import annotations

from pathlib import Path

from lorayard_shared.adapters.errors import AdapterError


class WorkerError(Exception):
    """Base of every error this part raises on purpose."""


class BaseModelError(WorkerError):
    """The base model's folder cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"base model {path}: {reason}")
        self.path = path
        self.reason = reason


class BaseModelMissingError(BaseModelError):
    """There is no loadable model at the path."""


class BaseModelUnsupportedError(BaseModelError):
    """The model loads, but this engine could not run it rightly."""


class AdapterNotFoundError(WorkerError, AdapterError):
    """The setting `dedicated` names an adapter that this worker has not, or cannot serve."""

    def __init__(self, spec: str, folder: Path | None) -> None:
        where = folder or "this worker, as LORAYARD_ADAPTERS_DIR is not set"
        super().__init__(
            f"LORAYARD_DEDICATED is {spec!r}, but no sound adapter of that name@version or digest is in "
            f"{where}: "
            "`lorayard adapters ls` shows what workers have, and what they refuse"
        )
        self.spec = spec
        self.folder = folder


class AdapterUnknownError(WorkerError, AdapterError):
    """No adapter folder is known for the digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"no adapter with digest {digest} on this worker")
        self.digest = digest


class PackedFileError(WorkerError):
    """A packed adapter file cannot be trusted."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"packed adapter {path}: {reason}")
        self.path = path
        self.reason = reason


class RequestRefusedError(WorkerError):
    """A request that no attempt can answer; `field` names the part at fault."""

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class CapacityError(WorkerError):
    """Something sound is larger than a configured limit."""

    def __init__(self, thing: str, *, needed: int, limit: int, setting: str) -> None:
        super().__init__(f"{thing} needs {needed}, but {setting} is {limit}")
        self.thing = thing
        self.needed = needed
        self.limit = limit
        self.setting = setting


class InvariantError(WorkerError):
    """A `check()` found books that disagree with each other: a defect of ours."""


class WorkerSpentError(WorkerError):
    """This process answers nothing any more: its jobs belong elsewhere, and it must be started anew."""


class WorkerRecycledError(WorkerError):
    """This process has grown old: it has drained, and shall be started anew."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"recycled: {reason}")
        self.reason = reason


class EngineDiedError(WorkerSpentError):
    """The engine stopped by itself."""

    def __init__(self) -> None:
        super().__init__("the engine's threads ended, or every step fails; its log says why")


class WorkerHungError(WorkerSpentError):
    """A thread of the worker makes no progress."""

    def __init__(self, *, thread: str, piece: str, seconds: float) -> None:
        super().__init__(f"thread {thread} has been at {piece} for {seconds:.1f} s; the log has all stacks")
        self.thread = thread
        self.piece = piece
        self.seconds = seconds
