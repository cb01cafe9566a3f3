"""Tokens to text: characters that span tokens, stop strings that span tokens (C12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.text import TextStream, TokenTexts


class ByteTokenizer:
    """Each token is a byte, as in the fallback of real tokenizers."""

    def decode(self, ids: list[int], **_: object) -> str:
        """As tokenizers do: an incomplete character becomes U+FFFD."""
        return bytes(ids).decode("utf-8", errors="replace")


def stream_until_stop(text: bytes, *stop: str) -> tuple[str, bool, int]:
    stream = TextStream(TokenTexts(ByteTokenizer()), stop)
    for used, byte in enumerate(text, start=1):
        if stream.push(byte):
            return *stream.finish(), used
    return *stream.finish(), len(text)


@pytest.mark.parametrize(
    ("text", "stop", "wanted"),
    [
        ("plain", (), ("plain", False, 5)),
        ("a stop b", ("stop",), ("a ", True, 6)),  # found with its last byte, and cut off
        ("héé→🎉!", ("🎉",), ("héé→", True, 12)),  # a stop of four byte tokens
        ("aab", ("ab",), ("a", True, 3)),  # a false start before the real one
        ("xyz", ("yz", "xyz"), ("", True, 3)),  # the earliest cut wins
        ("no", ("stop",), ("no", False, 2)),
        ("sto", ("stop",), ("sto", False, 3)),  # half a stop string is text
    ],
)
def test_stop_strings(text: str, stop: tuple[str, ...], wanted: tuple[str, bool, int]) -> None:
    assert stream_until_stop(text.encode(), *stop) == wanted


@given(st.text(), st.text(min_size=1, max_size=3))
def test_a_stop_ends_the_text_exactly_where_it_begins(text: str, stop: str) -> None:
    found, stopped, _ = stream_until_stop(text.encode("utf-8", "replace"), stop)
    whole = text.encode("utf-8", "replace").decode()
    assert stopped == (stop in whole)
    assert found == (whole[: whole.index(stop)] if stopped else whole)


@given(st.binary(max_size=64))
def test_bytes_that_are_no_text_do_no_harm(noise: bytes) -> None:
    text, stopped, _ = stream_until_stop(noise, "\x00never\x00")
    assert not stopped
    assert text == noise.decode("utf-8", errors="replace")
