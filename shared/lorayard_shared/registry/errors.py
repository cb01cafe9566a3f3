"""What can go wrong with the registry of adapters, by who must act.

YardError
  RegistryError
    VersionTakenError          publisher: the version stands for other bytes
    VersionUnknownError        caller: there is no such version
    TransitionError            caller: the version's state does not allow it
    ReferencedError            caller: something names the version
    AliasRefusedError          caller: an alias cannot become that
    RuleFileError              operator: a file of rules is wrong
    LabelUnknownError          operator: a classifier would choose what does not serve
    RuleRevisionError          operator: there are no such rules to return to
    LimitsUnknownError         operator: just these are not limited
    StrikeUnknownError         operator: just this is not struck
    PauseUnknownError          operator: just this is not paused, or has no cap
    ScheduleUnknownError       caller: there is no such schedule
    VersionNamedError          operator: an alias, a rule or the classifier leads to the version
    ContendedError             try again: others change the same record all the time
    RecordUnreadableError      us: a stored record is not what it claims to be
    StoreFullError             operator: the object store takes no more
    FileMissingError           publisher: the store lacks a file, or its bytes are others
"""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_schemas.adapter import TRANSITIONS, AdapterState
from lorayard_schemas.names import is_alias, split_version
from lorayard_shared.errors import YardError


class RegistryError(YardError):
    """Base of what the registry refuses."""


class VersionTakenError(RegistryError):
    """Somebody has registered other bytes under this name and version; versions never change."""

    def __init__(self, *, label: str, registered: str, given: str) -> None:
        super().__init__(
            f"{label} is registered as {registered}, and these files are {given}: "
            "a version never changes its bytes, so give them a version of their own"
        )
        self.label = label
        self.registered = registered
        self.given = given


class VersionUnknownError(RegistryError):
    """No such adapter, or no such version of it."""

    def __init__(self, *, label: str) -> None:
        _, word = split_version(label)
        if word is not None and is_alias(word):
            message = f"{label} would be an alias: say which version; `lorayard adapters aliases` shows them"
        else:
            message = f"{label} is not registered; `lorayard adapters ls` shows what is"
        super().__init__(message)
        self.label = label
        self.field = "adapter"


class TransitionError(RegistryError):
    """A version cannot become that from what it is."""

    def __init__(self, *, label: str, before: AdapterState, after: AdapterState, detail: str = "") -> None:
        allowed = ", ".join(sorted(TRANSITIONS[before])) or "nothing"
        why = f" ({detail})" if detail else ""
        super().__init__(f"{label} is {before}{why} and cannot become {after}; it may become {allowed}")
        self.label = label
        self.before = before
        self.after = after


class VersionNamedError(RegistryError):
    """Requests are led to a version that was to be taken away."""

    def __init__(self, *, label: str, by: Sequence[str]) -> None:
        super().__init__(
            f"{label} serves {', '.join(by)}: lead that elsewhere first, else its requests would be refused"
        )
        self.label = label
        self.by = tuple(by)
        self.field = "adapter"


class ReferencedError(RegistryError):
    """A version is not removed while something leads to it; nothing was changed."""

    def __init__(self, *, label: str, references: Sequence[str]) -> None:
        super().__init__(f"{label} is needed, and was left as it is: {'; '.join(references)}")
        self.label = label
        self.references = tuple(references)
        self.field = "adapter"


class ContendedError(RegistryError):
    """A compare-and-set was lost too often."""

    def __init__(self, *, label: str, tries: int) -> None:
        super().__init__(f"{label} was changed by others {tries} times while this was tried; try again")
        self.label = label
        self.tries = tries


class RecordUnreadableError(RegistryError):
    """A record in the bucket cannot be read: a newer peer wrote it, or nobody of ours."""

    def __init__(self, *, key: str, reason: str) -> None:
        super().__init__(f"the record {key} cannot be read: {reason}")
        self.key = key
        self.reason = reason


class StoreFullError(RegistryError):
    """The object store takes no more bytes."""

    def __init__(self, *, store: str, reason: str) -> None:
        super().__init__(
            f"the store {store} is full ({reason}); remove versions that are used no more (`lorayard "
            "adapters rm`) or give it more room (LORAYARD_BLOBS_MAX_BYTES, or the bus's disk), then push "
            "again: what was stored already is not sent again"
        )
        self.store = store
        self.reason = reason


FROM_FOLDER = "`lorayard adapters verify --repair DIR` mends it from its folder"
FROM_EXAMPLES = "`lorayard routes train` with the same examples mends it"


class FileMissingError(RegistryError):
    """The store lacks a file of a version or of a classifier, or a part of it; `remedy` mends it."""

    def __init__(self, *, file: str, sha256: str, reason: str, remedy: str = FROM_FOLDER) -> None:
        super().__init__(
            f"{file} (sha256 {sha256[:12]}) is not in the store as its record says: {reason}; {remedy}"
        )
        self.file = file
        self.sha256 = sha256
        self.reason = reason


class AliasRefusedError(RegistryError):
    """An alias cannot become that; nothing was changed."""

    def __init__(self, *, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class RuleFileError(RegistryError):
    """A file of rules cannot be used; nothing was changed."""

    def __init__(self, *, source: str, line: int | None, field: str, reason: str) -> None:
        where = f"{source}:{line}" if line is not None else source
        super().__init__(f"{where}: {f'{field}: ' if field else ''}{reason}")
        self.source = source
        self.line = line
        self.field = field
        self.reason = reason


class LabelUnknownError(RegistryError):
    """A classifier would choose what does not serve; nothing was changed."""

    def __init__(self, *, label: str, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}; --no-check (check=False) takes it anyway")
        self.label = label
        self.source = source
        self.reason = reason
        self.field = "adapter"


class RuleRevisionError(RegistryError):
    """There is no such revision of the rules, or of the classifier."""

    def __init__(self, *, revision: int | None, kept: list[int], has: str = "the rules have") -> None:
        which = "no earlier revision" if revision is None else f"no revision {revision}"
        super().__init__(f"{has} {which}; kept are {', '.join(map(str, kept)) or 'none'}")
        self.revision = revision
        self.field = "to"


class LimitsUnknownError(RegistryError):
    """Just these are not limited; nothing was changed."""

    def __init__(self, *, label: str, there: Sequence[str] = ()) -> None:
        has = f"{label} has only {', '.join(there)}" if there else f"{label} has no limits"
        super().__init__(f"{has}; `lorayard limits ls` shows all")
        self.label = label
        self.field = "limits"


class ScheduleUnknownError(RegistryError):
    """The tenant has no schedule of that name; nothing was changed."""

    def __init__(self, *, name: str, tenant: str) -> None:
        super().__init__(
            f"tenant {tenant} has no schedule {name!r}; `lorayard schedules ls` shows what there is"
        )
        self.name = name
        self.tenant = tenant
        self.field = "name"


class KeyUnknownError(RegistryError):
    """There is no such key, or it was revoked; nothing was changed."""

    def __init__(self, *, key_id: str) -> None:
        super().__init__(f"no key {key_id!r}; `lorayard keys ls` shows what there is, by id")
        self.key_id = key_id
        self.field = "key_id"


class StrikeUnknownError(RegistryError):
    """Just this is not struck; nothing was changed."""

    def __init__(self, *, adapter: str | None, tenant: str | None) -> None:
        super().__init__("no such strike; `lorayard strikes ls` shows what is struck")
        self.adapter = adapter
        self.tenant = tenant
        self.field = "adapter" if adapter is not None else "tenant"


class PauseUnknownError(RegistryError):
    """Just this is not paused, or has no cap; nothing was changed."""

    def __init__(self, *, label: str, word: str) -> None:
        super().__init__(f"{label} is not {word}; `lorayard control ls` shows what is paused and capped")
        self.label = label
