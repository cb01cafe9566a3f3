"""The engine's loop, one step at a time: whatever fails, each row ends once and nothing is left behind."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.merging import Merged
from lorayard_workers.engine.outcome import Failed, Outcome, Succeeded, TokenChunk
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.token_feed import TokenFeed
from lorayard_workers.memory.loader import Loaded, LoadFailed

MakeBench = Callable[..., "Bench"]


class Bench:
    """An engine whose threads do not run: the test does their work."""

    def __init__(self, folder: Path, adapters: dict[str, Path], **settings: Any) -> None:
        sizes: dict[str, Any] = {"slots": 4, "max_rank": 16, "rows": 4, "context_tokens": 256}
        config = EngineConfig(precision=Precision.FP32, device="cpu", **(sizes | settings))
        self.engine = PackedEngine(folder, adapters, config)
        self.core = self.engine._core
        self.asked: list[str] = []
        self.core.residents.request_load = self.asked.append
        self.outcomes: list[Outcome] = []

    def submit(self, name: str, adapter: str | None, tokens: int = 3) -> None:
        """A row joins the line."""
        request = GenerationRequest(
            request_id=name,
            prompt="x" * 63,  # a block is full with the first token
            adapter=adapter,
            sampling=Sampling(max_new_tokens=tokens, ignore_eos=True),
        )
        self.engine._prepare(Row(request=request, sink=self.outcomes.append))
        self.engine._take_inbox(wait_seconds=0.0)

    def load(self, digest: str) -> None:
        """The loader brings an adapter."""
        adapter = self.engine._reader.read(digest)
        self.engine._host.put(adapter)
        self.core.loaded(Loaded(adapter=adapter))

    def step(self) -> bool:
        """As the engine's thread does it."""
        with torch.inference_mode():
            try:
                return self.core.step()
            except Exception as error:  # noqa: BLE001  # as there
                self.core.fail_all(error)
                return False

    def run(self, most: int = 200) -> None:
        """Steps while there is something to do without news."""
        for _ in range(most):
            if not self.step():
                return
        raise AssertionError("it never rests")

    def told(self) -> dict[str, type[Outcome]]:
        """Who has heard what, each once."""
        found: dict[str, type[Outcome]] = {one.request_id: type(one) for one in self.outcomes}
        assert len(found) == len(self.outcomes)
        return found


@pytest.fixture
def make_bench(tiny_model: Path, tiny_adapters: dict[str, Path]) -> MakeBench:
    def make(**settings: Any) -> Bench:
        return Bench(tiny_model, dict(tiny_adapters), **settings)

    return make


def fail_at(call: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, but for one call."""
    calls = iter(range(1000))

    def maybe(*given: Any, **named: Any) -> Any:
        if next(calls) == call:
            raise RuntimeError("broken memory")
        return real(*given, **named)

    return maybe


def fail_of(victim: Row, call: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, but for one call of one row's."""
    maybe = fail_at(call, real)

    def picked(row: Row, *given: Any) -> Any:
        return maybe(row, *given) if row is victim else real(row, *given)

    return picked


@pytest.mark.parametrize(
    ("broken", "call"), [("clear", 1), ("clear", 5), ("lease", 1), ("write", 2), ("release", 1)]
)
def test_each_row_ends_once_whatever_breaks_and_the_books_agree__c6_c11(
    make_bench: MakeBench,
    tiny_adapters: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    call: int,
) -> None:
    bench = make_bench()
    core = bench.core
    digests = list(tiny_adapters)[:3]
    for digest in digests:
        bench.core.residents.preload(digest)
        bench.load(digest)
    places: dict[str, tuple[object, str]] = {
        "clear": (core._room.blocks, "clear"),
        "lease": (core.residents.slots, "lease"),
        "write": (core.runner, "write_adapter"),
        "release": (core.residents, "release"),
    }
    owner, name = places[broken]
    # Classes with slots take no new attributes on one object.
    target: object = owner if name == "clear" else type(owner)
    monkeypatch.setattr(target, name, fail_at(call, getattr(target, name)))
    names = ["a", "b", "c", "d", "e"]
    for row, adapter in zip(names, [*digests, None, digests[0]], strict=True):
        bench.submit(row, adapter)
    for _ in range(3):
        bench.run()
    assert set(bench.told()) == set(names)
    assert not core.waiting
    assert not core.running
    if broken != "release":  # what could not be given back is still held
        bench.engine.check()
    bench.submit("later", None)
    bench.run()
    assert bench.told()["later"] is Succeeded


@pytest.mark.parametrize("broken", ["take", "deliver"])
def test_a_row_whose_text_breaks_costs_no_other_a_token__c11(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    calm = make_bench()
    for name in ("a", "b", "c"):
        calm.submit(name, None, tokens=5)
    calm.run()
    texts = {one.request_id: one.text for one in calm.outcomes if isinstance(one, Succeeded)}
    bench = make_bench()
    for name in ("a", "b", "c"):
        bench.submit(name, None, tokens=5)
    victim = bench.core.waiting[1]
    chunks: list[TokenChunk] = []
    for row in bench.core.waiting:
        row.feed = TokenFeed(row.request.request_id, chunks.append)
    monkeypatch.setattr(Row, broken, fail_of(victim, 2, getattr(Row, broken)))
    bench.run()
    ended = {one.request_id: one for one in bench.outcomes}
    assert len(bench.outcomes) == len(ended) == 3
    assert isinstance(ended["b"], Failed if broken == "take" else Succeeded)
    for name in ("a", "c"):
        one = ended[name]
        assert isinstance(one, Succeeded)
        assert one.text == texts[name]
        assert sum(len(chunk.token_ids) for chunk in chunks if chunk.request_id == name) == 5
    bench.engine.check()


def test_a_row_whose_blocks_cannot_be_cleared_fails_alone__c6_c11(make_bench: MakeBench) -> None:
    bench = make_bench(prefix_reuse=False)
    tables = bench.core._room.blocks
    tables.clear = fail_at(1, tables.clear)
    for name in ("a", "b", "c"):
        bench.submit(name, None)
    bench.run()
    assert bench.told() == {"a": Succeeded, "b": Failed, "c": Succeeded}
    bench.engine.check()
    assert tables.pool.used == 0


def test_a_row_whose_adapter_gave_way_to_a_pin_is_looked_at_again__c3(
    make_bench: MakeBench, tiny_adapters: dict[str, Path]
) -> None:
    """No news comes afterwards: who is not looked at then waits until a timer runs out."""
    bench = make_bench(slots=2, rows=2)
    pinned, *others = list(tiny_adapters)[:3]
    x, y = sorted(others, reverse=True)  # of two that are idle, the first by name drains
    for name, digest in (("x", x), ("y", y)):
        bench.submit(name, digest)
        bench.step()
        bench.load(digest)
        bench.run()
    bench.core.residents.pin(pinned)
    bench.step()
    bench.load(pinned)
    bench.submit("y again", y)
    assert bench.step()  # the pin got its slot, nothing runs, and there is more to do
    bench.run()
    resident = bench.core.residents.slots.residents()
    assert pinned in resident
    assert set(bench.told()) == {"x", "y", "y again"}


def test_a_load_that_failed_harms_no_row_of_an_adapter_that_is_at_hand__c6(
    make_bench: MakeBench, tiny_adapters: dict[str, Path]
) -> None:
    bench = make_bench()
    digest = next(iter(tiny_adapters))
    bench.core.residents.pin(digest)
    bench.load(digest)
    bench.step()
    bench.submit("row", digest)
    bench.core.loaded(LoadFailed(digest=digest, error=OSError("its folder vanished")))
    bench.run()
    assert bench.told() == {"row": Succeeded}
    assert digest in bench.core.residents.slots.pinned


def test_merged_weights_that_nobody_wants_any_more_are_not_kept__c10(make_bench: MakeBench) -> None:
    bench = make_bench()
    core = bench.core
    bench.submit("row", None, 20)
    bench.step()  # it runs, so the weights cannot change yet
    for last in (None, "other"):
        core.dedication.want("adapter", wish=1)
        core.merged(Merged(digest="adapter", kernels=()))
        assert core._merged is not None
        core.dedication.want(last, wish=2)
        bench.step()
        assert core._merged is None
