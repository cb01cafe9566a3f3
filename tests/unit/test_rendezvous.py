"""Rendezvous hashing: the same answer everywhere, evenly, with few moves."""

from __future__ import annotations

from collections import Counter

from lorayard_shared.rendezvous import weight

KEYS = [f"sha256:{number:08x}" for number in range(2000)]


def home(key: str, nodes: list[str]) -> str:
    return max(nodes, key=lambda node: weight(key, node))


def test_the_weight_is_the_same_in_every_process_and_version() -> None:
    """Python's own hash is not."""
    assert weight("key", "node") == 215_676_749_939_086_513


def test_keys_spread_evenly() -> None:
    counts = Counter(home(key, ["a", "b", "c", "d"]) for key in KEYS)
    assert all(400 < count < 600 for count in counts.values())


def test_a_node_that_goes_moves_only_its_own_keys() -> None:
    before = {key: home(key, ["a", "b", "c", "d"]) for key in KEYS}
    after = {key: home(key, ["a", "b", "c"]) for key in KEYS}
    assert all(after[key] == node for key, node in before.items() if node != "d")


def test_key_and_node_are_not_run_together() -> None:
    assert weight("ab", "c") != weight("a", "bc")
