"""The reader of messages finds what nats-py's own finds, however the bytes come in pieces."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from lorayard_shared.bus.heard import Heard, Take
from lorayard_shared.bus.nats_parser import LONG_BYTES, MessageParser

Seen = tuple[object, ...]


@dataclass(slots=True)
class Client:
    """Writes down what a parser finds."""

    seen: list[Seen] = field(default_factory=list[Seen])

    is_closed: bool = False

    def heard(self, take: Take, message: Heard) -> None:
        take(message)

    async def _process_msg(self, *message: object) -> None:
        self.seen.append(message)

    async def _process_ping(self) -> None:
        self.seen.append(("ping",))

    async def _process_pong(self) -> None:
        self.seen.append(("pong",))

    async def _process_info(self, info: dict[str, object]) -> None:
        self.seen.append(("info", info))

    async def _process_err(self, error: str) -> None:
        self.seen.append(("error", error))


def found(make: Callable[[Client], Parser], pieces: list[bytes]) -> list[Seen]:
    client = Client()
    parser = make(client)

    async def parse() -> None:
        for piece in pieces:
            await parser.parse(piece)

    asyncio.run(parse())
    return client.seen


fast = partial(MessageParser, hearers={})
tokens = st.text("abcXYZ.$_-0123456789%", min_size=1, max_size=20).map(str.encode)
replies = st.one_of(st.just(b""), tokens.map(lambda token: token + b" "))
bodies = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"\r\n", b"MSG a 1 2\r\n", b"x" * (2 * LONG_BYTES)])
)
headers = st.sampled_from([b"NATS/1.0\r\nNats-Msg-Id: j\r\n\r\n", b"NATS/1.0 404 No Messages\r\n\r\n"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """One message as the server writes it, with headers or without."""
    subject, reply, body = draw(tokens), draw(replies), draw(bodies)
    sid = draw(st.integers(1, 99))
    if draw(st.booleans()):
        head = draw(headers)
        return b"HMSG %s %d %s%d %d\r\n%s%s\r\n" % (
            subject,
            sid,
            reply,
            len(head),
            len(head) + len(body),
            head,
            body,
        )
    return b"MSG %s %d %s%d\r\n%s\r\n" % (subject, sid, reply, len(body), body)


others = st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'Stale'\r\n", b'INFO {"a":1}\r\n'])


@given(st.lists(st.one_of(messages(), others), max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_it_finds_what_its_parent_finds(sent: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(sent)
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(at)]
    assert found(fast, pieces) == found(Parser, [stream])


@pytest.mark.parametrize(
    "line", [b"MSG a b 1\r\n", b"MSG a\r\n", b"HMSG a 1 x 2\r\n", b"MSG\r\n", b"NONSENSE\r\n"]
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        found(fast, [line])


def test_a_long_message_in_many_pieces_is_read_whole() -> None:
    body = b"x" * (3 * LONG_BYTES)
    stream = b"MSG a 1 %d\r\n%s\r\nMSG b 2 0\r\n\r\n" % (len(body), body)
    pieces = [stream[at : at + 4096] for at in range(0, len(stream), 4096)]
    assert found(fast, pieces) == [(1, b"a", b"", body, None), (2, b"b", b"", b"", None)]


def test_what_is_heard_goes_to_its_hearer_and_the_rest_to_the_connection() -> None:
    heard: list[Heard] = []
    stream = b"MSG a 1 2\r\nhi\r\nHMSG b 2 r 12 15\r\nNATS/1.0\r\n\r\nyou\r\nMSG c 1 0\r\n\r\n"
    seen = found(partial(MessageParser, hearers={2: heard.append}), [stream])
    assert [message[1] for message in seen] == [b"a", b"c"]
    assert [(one.subject, one.reply, one.headers, one.data) for one in heard] == [("b", "r", None, b"you")]


def read_on(parser: MessageParser, pieces: list[bytes]) -> None:
    """As a connection does: what is not taken at once is parsed."""

    async def parse() -> None:
        for piece in pieces:
            if rest := parser.take(piece):
                await parser.parse(rest)

    asyncio.run(parse())


@given(
    st.lists(st.one_of(messages(), others), max_size=8),
    st.lists(st.integers(0, 400), max_size=6),
    st.sets(st.integers(1, 99)),
)
def test_what_is_taken_at_once_keeps_its_place_among_the_rest(
    sent: list[bytes], cuts: list[int], sids: set[int]
) -> None:
    stream = b"".join(sent)
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    client = Client()

    def hear(sid: int) -> Take:
        def take(one: Heard) -> None:
            reply = one.reply.encode()
            client.seen.append((sid, one.subject.encode(), reply, one.data, one.raw_headers))

        return take

    parser = MessageParser(client, {sid: hear(sid) for sid in sids})
    read_on(parser, [stream[start:end] for start, end in itertools.pairwise(at)])
    assert client.seen == found(Parser, [stream])


def test_what_comes_after_the_end_is_not_taken() -> None:
    heard: list[Heard] = []
    parser = MessageParser(Client(is_closed=True), {1: heard.append})
    assert parser.take(b"MSG a 1 2\r\nhi\r\n") == b"MSG a 1 2\r\nhi\r\n"
    assert not heard


def test_what_is_no_message_is_left_behind_those_before_it() -> None:
    heard: list[bytes] = []
    parser = MessageParser(Client(), {1: lambda message: heard.append(message.data)})
    assert parser.take(b"MSG a 1 2\r\nhi\r\nMSG a b c\r\n") == b"MSG a b c\r\n"
    assert heard == [b"hi"]
