"""What crosses between a tenant's account and the yard's: exactly the subjects that bear the tenant's name.

Inside one account, permissions do not part those who write: a reply subject may be forged, and then the
server itself stores one tenant's bytes as another's. Between accounts a reply goes back to where the question
came from, whatever it says, and what was not imported does not exist.

What JetStream takes in a body, no subject can bound: such questions a tenant asks as always, and the server
brings them to `{prefix}.own.{tenant}.>`, where a dispatcher looks at them first.
"""

from __future__ import annotations

from typing import Final

from lorayard_cli.security.claims import JsonMap, service, stream
from lorayard_schemas.names import subject_token
from lorayard_schemas.own import ASKED, INFORMED, READ
from lorayard_schemas.subjects import Subjects

_ONE_RESULT: Final = ("results", "tokens", "delayed")
"""Streams of which a tenant may read the last message of a subject from the server itself."""

_HEARD: Final = ("done", "told")


def yard_exports(subjects: Subjects) -> list[JsonMap]:
    """What the yard's account offers; a tenant's imports take of it what is the tenant's."""
    prefix = subjects.prefix
    return [
        service(subjects.jobs),
        service(subjects.delayed),
        *(service(f"{_direct(subjects, kind)}.{prefix}.{kind}.>") for kind in _ONE_RESULT),
        service(f"{prefix}.own.>", many_answers=True),
        *(stream(f"{prefix}.{what}.>") for what in (*_HEARD, "door")),
    ]


def tenant_imports(subjects: Subjects, tenant: str, yard: str) -> list[JsonMap]:
    """What one tenant's account takes from the account `yard` (its public key)."""
    prefix, token = subjects.prefix, subject_token(tenant)
    return [
        service(f"{prefix}.jobs.*.{token}.*", of=yard),
        service(f"{prefix}.delayed.{token}.*", of=yard),
        *(service(f"{_direct(subjects, kind)}.{prefix}.{kind}.{token}.*", of=yard) for kind in _ONE_RESULT),
        *(service(there, of=yard, here=here) for here, there in looked_at(subjects, tenant).items()),
        *(stream(f"{prefix}.{what}.{token}.*", of=yard) for what in _HEARD),
        stream(subjects.door(tenant), of=yard),
    ]


def tenant_publishes(subjects: Subjects, tenant: str) -> tuple[str, ...]:
    """Where a tenant's client speaks."""
    prefix, token = subjects.prefix, subject_token(tenant)
    single = (f"{_direct(subjects, kind)}.{prefix}.{kind}.{token}.*" for kind in _ONE_RESULT)
    return (
        f"{prefix}.jobs.*.{token}.*",
        f"{prefix}.delayed.{token}.*",
        *single,
        *looked_at(subjects, tenant),
    )


def tenant_subscribes(subjects: Subjects, tenant: str) -> tuple[str, ...]:
    """Where it listens."""
    token = subject_token(tenant)
    return (*(f"{subjects.prefix}.{what}.{token}.*" for what in _HEARD), subjects.door(tenant))


def looked_at(subjects: Subjects, tenant: str) -> dict[str, str]:
    """Where a tenant asks -> where a dispatcher looks at the question."""
    own = subjects.own(tenant)
    asked = {subjects.dispatcher(verb): f"{own}.ask.{verb}" for verb in ASKED}
    read = {_direct(subjects, kind): f"{own}.get.{kind}" for kind in READ}
    told = {subjects.info(subjects.stream(kind)): f"{own}.info.{kind}" for kind in INFORMED}
    return asked | read | told


def _direct(subjects: Subjects, kind: str) -> str:
    return f"$JS.API.DIRECT.GET.{subjects.stream(kind)}"
