"""A yard as it was read: nothing waits, and nobody is there, but what a test gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lorayard.view.depths import Depth
from lorayard.view.fleet import SeenWorker
from lorayard.view.rates import Rates
from lorayard.view.yard_state import YardState
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.seat import DispatcherAdvert
from lorayard_schemas.subjects import JobAddress

NOW = 1_000_000.0
DIGEST = "sha256:" + "0" * 64

MakeState = Callable[..., YardState]


def made_depth(jobs: Mapping[JobAddress, int] | None = None, **given: Any) -> Depth:
    usual: dict[str, Any] = {"delayed": 0, "ended": 0, "dead": 0, "server_now": NOW}
    return Depth(jobs=dict(jobs or {}), **{**usual, **given})


def made_advert(worker: str = "w1", **given: Any) -> WorkerAdvert:
    load = WorkerLoad(worker=worker, epoch=1, number=1, room=4, **given.pop("load", {}))
    usual: dict[str, Any] = {
        "epoch": 1,
        "sequence": 1,
        "at": NOW,
        "engine": "echo",
        "model": "tiny",
        "base_digest": DIGEST,
        "context_tokens": 64,
    }
    return WorkerAdvert(worker=worker, load=load, **{**usual, **given})


def made_worker(name: str = "w1", *, ago: float = 0.0, gone: bool = False, **given: Any) -> SeenWorker:
    return SeenWorker(
        name=name,
        advert=made_advert(name, at=NOW - ago, **given),
        stored_at=NOW - ago,
        silent_since=NOW - ago,
        gone=gone,
    )


def made_record(name: str, version: str = "1", **given: Any) -> AdapterRecord:
    usual: dict[str, Any] = {
        "digest": DIGEST,
        "rank": 8,
        "alpha": 16.0,
        "targets": ("q_proj",),
        "size_bytes": 1,
    }
    return AdapterRecord(name=name, version=version, **{**usual, **given})


@pytest.fixture
def make_state() -> MakeState:
    def make(**given: Any) -> YardState:
        usual: dict[str, Any] = {
            "now": NOW,
            "own_now": NOW,
            "depth": made_depth(),
            "lane_ages": {},
            "queue_ages": {},
            "workers": (made_worker(),),
            "adapters": (),
            "aliases": (),
            "placements": (),
            "strikes": (),
            "pauses": (),
            "caps": (),
            "batches": (),
            "living": (DispatcherAdvert(dispatcher="d1", started_at=0.0),),
            "seats": frozenset({0}),
            "partitions": 1,
            "dispatchers": (),
            "silent_dispatchers": (),
            "streams": (),
            "missing": (),
            "consumers": (),
            "window": 4096,
            "unreadable": {},
            "traffic": {},
            "rates": Rates(),
        }
        return YardState(**{**usual, **given})

    return make
