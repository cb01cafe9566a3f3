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


@given(st.binary(max_size=48), st.lists(st.text(min_size=1, max_size=3), max_size=3), st.integers(0, 4))
def test_what_is_given_out_adds_up_to_the_text_and_holds_no_stop(
    noise: bytes, stop: list[str], unstoppable: int
) -> None:
    stream = TextStream(TokenTexts(ByteTokenizer()), tuple(stop), unstoppable_tokens=unstoppable)
    given_out = ""
    for byte in noise:
        stopped = stream.push(byte)
        given_out += stream.take()
        if stopped:
            break
    text, _ = stream.finish()
    assert given_out + stream.take() == text
    if not unstoppable:
        assert not any(each in text for each in stop)


@pytest.mark.parametrize(
    ("text", "stop", "early"),
    [
        ("ab", "bc", "a"),  # the b may become a stop
        ("abx", "bc", "abx"),  # it did not
        ("aaa", "aab", "a"),  # the last two may
        ("h\u00e9", "\u00e9\u00e9", "h"),
    ],
)
def test_the_beginning_of_a_stop_string_is_held_back(text: str, stop: str, early: str) -> None:
    stream = TextStream(TokenTexts(ByteTokenizer()), (stop,))
    for byte in text.encode():
        stream.push(byte)
    assert stream.take() == early
