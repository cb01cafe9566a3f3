"""Text to vector by looking tokens up in a small table: what every decision runs.

A weighed mean of static token vectors, after Arora, Liang and Ma, "A simple but tough-to-beat baseline for
sentence embeddings" (2017); the weights stand in the table's scales.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.semantic.errors import ArtifactError
from lorayard_shared.semantic.record import EncoderKind
from lorayard_shared.semantic.tensors import read_tensors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ENCODER_NAME = "encoder.safetensors"
TOKENIZER_NAME = "tokenizer.json"

MAX_ROWS = 131_072
MAX_DIMENSIONS = 1024
MAX_TABLE_BYTES = 64 << 20
MAX_TOKENIZER_BYTES = 32 << 20

HEAD_BYTES = 800
TAIL_BYTES = 320
"""Of a long text only its ends are read: what is asked for stands there, and the time stays bounded."""

_EMPHASIS = 8.0
_REACH_TOKENS = 5.0
"""A first token counts nine times one in the middle, a last token five times; that fades within a line.
Otherwise the document to be worked on would drown the sentence that says what to do with it: on the demo's
examples, cross-validated, 85 % are told apart so, 75 % with a fourth of the emphasis."""

PROBE = "Write 3 words, please:\n\t\u00fc\u4e16\U0001f600"
"""Letters, digits, blanks, a line's end, signs of two to four bytes: what fails on these fails on most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFiles:
    """An encoder as the two files that every artifact over it carries."""

    kind: EncoderKind
    tokenizer: bytes
    """tokenizer.json"""
    table: bytes
    """encoder.safetensors: `rows` int8 [tokens, dimensions], `scales` float32 [tokens]."""

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over both."""
        return encoder_digest(self.tokenizer, self.table)


def encoder_digest(tokenizer: bytes, table: bytes) -> str:
    """`sha256:<hex>` over both files."""
    parts = b"".join(hashlib.sha256(part).digest() for part in (tokenizer, table))
    return f"sha256:{hashlib.sha256(b'lorayard-encoder-1' + parts).hexdigest()}"


class Encoder:
    """Turns text into vectors. Threads may share one."""

    def __init__(self, tokenizer: bytes, table: bytes) -> None:
        """Raises ArtifactError, naming the file."""
        found = read_tensors(table, ENCODER_NAME, {"rows": "I8", "scales": "F32"})
        self._rows, self._scales = found["rows"], found["scales"]
        if self._rows.ndim != 2 or self._scales.shape != self._rows.shape[:1]:
            raise ArtifactError(ENCODER_NAME, f"{self._rows.shape} rows, {self._scales.shape} scales")
        if not (0 < len(self._rows) <= MAX_ROWS and 0 < self.dimensions <= MAX_DIMENSIONS):
            raise ArtifactError(
                ENCODER_NAME, f"{self._rows.shape}: at most {MAX_ROWS} tokens of {MAX_DIMENSIONS} numbers"
            )
        self._tokenizer = _tokenizer(tokenizer)
        if self._tokenizer.get_vocab_size() != len(self._rows):
            count = self._tokenizer.get_vocab_size()
            raise ArtifactError(TOKENIZER_NAME, f"{count} tokens for a table of {len(self._rows)}")
        largest = max(self._tokenizer.get_vocab().values())
        if largest >= len(self._rows):
            raise ArtifactError(TOKENIZER_NAME, f"a token {largest} for a table of {len(self._rows)}")
        self.encode(PROBE)

    @property
    def dimensions(self) -> int:
        """Of every vector."""
        return int(self._rows.shape[1])

    def encode(self, text: str) -> NDArray[np.float32]:
        """A vector of unit length; zeros where no token of the text is known.

        Raises:
            ArtifactError: the tokenizer fails on this text.
        """
        with _no_failure_but_ours("fails on a text"):
            ids = self._tokenizer.encode(_ends(text), add_special_tokens=False).ids
        if not ids:
            return np.zeros(self.dimensions, np.float32)
        weights = self._scales[ids] * _places(len(ids))
        total: NDArray[np.float32] = weights @ self._rows[ids].astype(np.float32)
        length = float(np.linalg.norm(total))
        return total / np.float32(length) if length > 0 else total


def _tokenizer(data: bytes) -> Tokenizer:
    from tokenizers import Tokenizer

    with _no_failure_but_ours("is no tokenizer"):
        found = Tokenizer.from_buffer(data)
    if found.truncation is not None or found.padding is not None:
        raise ArtifactError(TOKENIZER_NAME, "cuts or pads texts; the encoder does that itself")
    return found


@contextmanager
def _no_failure_but_ours(what: str) -> Generator[None]:
    """Whatever the library raises is a fault of the file.

    It raises bare exceptions, and where its Rust code panics (a pattern that tries too long) one that is no
    `Exception`: that would pass by everybody who keeps one job's trouble from the rest.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  # a panic; nothing is awaited here that could be cancelled
        raise ArtifactError(TOKENIZER_NAME, f"{what}: {error!s:.150}") from None


def _ends(text: str) -> str:
    """As UTF-8 would take it, so that 300 unusual signs cost no more than 300 letters."""
    if len(text) <= HEAD_BYTES // 4:
        return text.encode("utf-8", "replace").decode()
    head = text[: HEAD_BYTES + TAIL_BYTES].encode("utf-8", "replace")
    if len(text) <= HEAD_BYTES + TAIL_BYTES and len(head) <= HEAD_BYTES + TAIL_BYTES:
        return head.decode()
    tail = text[-TAIL_BYTES:].encode("utf-8", "replace")[-TAIL_BYTES:]
    return f"{head[:HEAD_BYTES].decode(errors='ignore')} {tail.decode(errors='ignore')}"


def _places(count: int) -> NDArray[np.float32]:
    """How much the first, second ... token counts."""
    fading = _EMPHASIS * np.exp(-np.arange(count, dtype=np.float32) / np.float32(_REACH_TOKENS))
    places: NDArray[np.float32] = np.add(1 + fading, fading[::-1] / 2, dtype=np.float32)
    return places
