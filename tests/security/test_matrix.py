"""Each role may do on the bus what it needs, and nothing else: every subject, stream and bucket, over TLS."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.security.conftest import SecureServer, connected

from lorayard_cli.security.roles import Role, inbox_prefix
from lorayard_schemas.channels import CHANNELS
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

TABLE = Path(__file__).parent / "matrix.txt"
"""What each role may do, as somebody has read and approved it: `p` publish, `s` subscribe."""

USERS = ("client-acme", "dispatcher", "worker", "gateway", "operator", "observer")

_STREAM_VERBS = (
    "INFO",
    "CREATE",
    "UPDATE",
    "DELETE",
    "PURGE",
    "MSG.GET",
    "MSG.DELETE",
    "SNAPSHOT",
    "RESTORE",
)
_CONSUMER_VERBS = ("CREATE", "INFO", "DELETE", "MSG.NEXT", "UNPIN", "PAUSE")
_FILLED = {
    "lane": "normal",
    "tenant": "acme",
    "adapter": "x",
    "job": "j1",
    "worker": "w1",
    "dispatcher": "d1",
    "by": "w1",
    "order": "pin",
}
_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')

Cells = dict[str, str]


def subjects() -> list[str]:
    """All there is: channels, what is asked of each stream, replies of each role, and another tenant's."""
    filled = [_fill(channel.address) for channel in CHANNELS]
    foreign = [subject.replace(".acme.", ".beta.") for subject in filled if ".acme." in subject]
    streams = [stream.name for stream in topology(YardSettings()).streams]
    api = [f"STREAM.{verb}.{stream}" for stream in streams for verb in _STREAM_VERBS]
    api += [f"CONSUMER.{verb}.{stream}.c1" for stream in streams for verb in _CONSUMER_VERBS]
    api += [f"DIRECT.GET.{stream}" for stream in streams]
    api += ["INFO", "STREAM.LIST", "STREAM.NAMES", "ACCOUNT.PURGE.a", "META.LEADER.STEPDOWN"]
    others = [f"{inbox_prefix(role)}.abc" for role in Role] + ["_INBOX.abc", "_R_.abc", "$SRV.PING"]
    others += [
        "$JS.ACK.YARD_JOBS.c1.1.1.1.1.0",
        "$SYS.REQ.SERVER.PING",
        "$SYS.ACCOUNT.x.CONNECT",
        "any.other",
    ]
    own = ["yard.own.acme.get.results", "yard.own.beta.get.results", "yard.own.acme.ask.cancel"]
    own += [f"yard.info.{stream}" for stream in streams]
    return list(dict.fromkeys([*filled, *foreign, *own, *others, *(f"$JS.API.{one}" for one in api)]))


def _fill(address: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: _FILLED.get(found[1], "k1"), address)


async def observed(bus: Bus, asked: list[str]) -> Cells:
    """What the server lets a user do, by its own words."""
    refused: set[tuple[str, str]] = set()

    async def hear(error: Exception) -> None:
        if found := _VIOLATION.search(str(error).lower()):
            refused.add((found[1], found[2]))

    bus.nc._error_cb = hear  # pyright: ignore[reportPrivateUsage]  # each refusal is told there alone
    for subject in asked:
        await bus.nc.publish(subject, b"")
        subscription = await bus.nc.hear(subject, lambda _message: None)
        await subscription.unsubscribe()
    await bus.nc.flush()
    await asyncio.sleep(0)
    return {
        subject: ("" if ("publish", subject.lower()) in refused else "p")
        + ("" if ("subscription", subject.lower()) in refused else "s")
        for subject in asked
    }


def approved() -> dict[str, Cells]:
    """The table: a subject for which nobody may do anything stands in no line."""
    cells: dict[str, Cells] = {user: {} for user in USERS}
    for line in TABLE.read_text(encoding="utf-8").splitlines()[1:]:
        subject, *may = line.split()
        for user, letters in zip(USERS, may, strict=True):
            cells[user][subject] = letters.strip("-")
    return cells


def written(found: dict[str, Cells], asked: list[str]) -> str:
    """The table as its file has it."""
    lines = [f"{'subject':<72} {' '.join(f'{user:<11}' for user in USERS)}".rstrip()]
    for subject in asked:
        may = [found[user][subject] or "-" for user in USERS]
        if any(letters != "-" for letters in may):
            lines.append(f"{subject:<72} {' '.join(f'{letters:<11}' for letters in may)}".rstrip())
    return "\n".join(lines) + "\n"


async def test_each_role_may_do_what_the_table_says_and_nothing_else_g4(
    bare_server: SecureServer, tally: Callable[[str, int], None], show_matrix: Callable[[str, str], None]
) -> None:
    asked = subjects()
    found: dict[str, Cells] = {}
    for user in USERS:
        async with await connected(bare_server, user) as bus:
            found[user] = await observed(bus, asked)
    table = approved()
    wrong = [
        f"{user} {subject}: {found[user][subject] or '-'}, approved {table[user].get(subject) or '-'}"
        for user in USERS
        for subject in asked
        if found[user][subject] != table[user].get(subject, "")
    ]
    if wrong:
        (actual := bare_server.folder.path / "matrix.txt").write_text(written(found, asked))
        pytest.fail(f"{len(wrong)} cells differ; as it is: {actual}\n" + "\n".join(wrong[:20]))
    allowed = sum(len(letters) for cells in found.values() for letters in cells.values())
    tally("permissions probed", 2 * len(asked) * len(USERS))
    tally("permissions refused", 2 * len(asked) * len(USERS) - allowed)
    show_matrix("subject", " ".join(f"{user:<11}" for user in USERS))
    for line in written(found, asked).splitlines()[1:]:
        subject, _, cells = line.partition(" ")
        show_matrix(subject, cells.strip())


async def test_nobody_hears_the_replies_of_another_role(bare_server: SecureServer) -> None:
    for user in USERS:
        async with await connected(bare_server, user) as bus:
            foreign = [f"{inbox_prefix(role)}.>" for role in Role if not user.startswith(role)]
            found = await observed(bus, [*foreign, "_INBOX.>", ">"])
            assert all("s" not in letters for letters in found.values()), user
            own = await observed(bus, [f"{bus.settings.inbox_prefix}.x"])
            assert "s" in own[f"{bus.settings.inbox_prefix}.x"]


WaitUntil = Callable[..., Awaitable[None]]
