"""Which version of a split a request gets: the same for ever, by hashing and no memory.

Weighted rendezvous hashing: each version draws a number from the request's key alone, and the largest of
`weight / -ln(u)` wins, which gives each its share (Schindelhauer & Schomaker, "Weighted distributed hash
tables", SPAA 2005). A changed weight moves only keys to or from that version, in whatever order they stand;
with cumulative thresholds a third version would shuffle the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from hashlib import blake2b

_DRAW_BYTES = 8
_DRAWS = float(1 << (8 * _DRAW_BYTES))


def pick(weights: Iterable[tuple[str, float]], experiment: str, key: str) -> str | None:
    """The version of the request with this key; None when no weight is above zero.

    `experiment` is the salt: another one draws anew.
    """
    best, winner = -math.inf, None
    for version, weight in weights:
        if weight > 0.0 and (score := weight / -math.log(_draw(experiment, version, key))) > best:
            best, winner = score, version
    return winner


def _draw(experiment: str, version: str, key: str) -> float:
    """Between 0 and 1, and neither."""
    text = f"{experiment}\0{version}\0{key}".encode(errors="surrogatepass")
    number = int.from_bytes(blake2b(text, digest_size=_DRAW_BYTES).digest(), "big")
    return min((number + 0.5) / _DRAWS, 1.0 - 2**-53)
