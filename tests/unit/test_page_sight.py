"""Of two sights of a yard only what differs travels to the page (F3)."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from lorayard_gateway.page.changes import changes, whole
from lorayard_gateway.page.channel import KEPT, Channel
from lorayard_gateway.page.replies import page_bytes
from lorayard_gateway.page.sight import Sight, of_tenant, sight_of
from lorayard_schemas.job import Lane
from lorayard_schemas.snapshot import (
    AdapterRow,
    AdapterTraffic,
    Overview,
    QueueRow,
    WorkerRow,
    YardSnapshot,
)

HOSTILE = '</script><img src=x onerror="alert(1)">\x00\u2028'


def snapshot(**given: Any) -> YardSnapshot:
    usual: dict[str, Any] = {
        "prefix": "yard",
        "url": "nats://h",
        "release": "1",
        "sequence": 1,
        "at": 1000.0,
        "took_ms": 1.0,
        "overview": Overview(unfinished=3, delayed=0, oldest_seconds=10.0),
    }
    return YardSnapshot.model_validate({**usual, **given})


def queue(tenant: str = "acme", jobs: int = 3, oldest: float | None = 10.0) -> QueueRow:
    return QueueRow(lane=Lane.BULK, tenant=tenant, adapter="a/b/c", jobs=jobs, oldest_seconds=oldest)


def worker(name: str = "w1", **given: Any) -> WorkerRow:
    return WorkerRow.model_validate({"worker": name, "age_seconds": 0.4, **given})


def adapter(name: str = "a/b/c", **given: Any) -> AdapterRow:
    usual = {"version": "1", "digest": "sha256:" + "ab" * 32, "state": "active", "rank": 8, "size_bytes": 9}
    return AdapterRow.model_validate({"name": name, **usual, **given})


def test_time_that_passes_changes_nothing() -> None:
    first = sight_of(snapshot(queues=(queue(),), workers=(worker(),)), Sight())
    later = snapshot(
        at=1001.2,
        overview=Overview(unfinished=3, delayed=0, oldest_seconds=11.3),
        queues=(queue(oldest=11.1),),
        workers=(worker(age_seconds=0.9),),
    )
    assert changes(first, sight_of(later, first)).keys() == {"point"}


def test_a_worker_is_silent_on_the_page_as_in_the_troubles__f4() -> None:
    told = (worker("w1", age_seconds=1.9), worker("w2", age_seconds=2.1, silent=True))
    rows = sight_of(snapshot(workers=told), Sight()).tables["workers"]
    assert {name: (row["silent"], row["heard_at"]) for name, row in rows.items()} == {
        "w1": (False, None),
        "w2": (True, 997.9),
    }


def test_of_a_changed_row_only_its_changed_fields_travel() -> None:
    first = sight_of(snapshot(queues=(queue(), queue("other"))), Sight())
    after = sight_of(snapshot(queues=(queue(jobs=4),)), first)
    (table,) = changes(first, after)["tables"].values()
    assert table == {"rows": {"bulk\x1facme\x1fa/b/c": {"jobs": 4}}, "gone": ["bulk\x1fother\x1fa/b/c"]}


def test_what_a_page_applies_is_what_there_is() -> None:
    """As `store.js` does it."""
    sights = [Sight()]
    for jobs, lost in ((3, False), (5, False), (0, True), (7, True)):
        rows = tuple(queue(f"t{n}", jobs + n) for n in range(jobs))
        sights.append(sight_of(snapshot(queues=rows, workers=(worker(lost=lost),)), sights[-1]))
    page: dict[str, Any] = json.loads(page_bytes(whole(sights[0], [])))
    for before, after in pairwise(sights):
        told = json.loads(page_bytes(changes(before, after)))
        page["head"] |= told.get("head", {})
        for name, changed in told.get("tables", {}).items():
            for key in changed.get("gone", ()):
                del page["tables"][name][key]
            for key, row in changed.get("rows", {}).items():
                page["tables"][name].setdefault(key, {}).update(row)
        assert page["tables"] == json.loads(page_bytes(after.tables))
        assert page["head"] == json.loads(page_bytes(after.head))


def test_a_tenant_sees_its_own_and_no_figure_of_others() -> None:
    traffic = AdapterTraffic(per_second=5, errors=0.1, p50_ms=1, p95_ms=2)
    rows = (adapter(waiting=9, slots=("w1",), traffic=traffic), adapter("a/b/secret"))
    yard = sight_of(
        snapshot(queues=(queue(jobs=2, oldest=7.0), queue("other", 90)), workers=(worker(),), adapters=rows),
        Sight(),
    )
    own = of_tenant(yard, "acme", frozenset({"a/b/c@1"}))
    assert own.head["overview"] == {"unfinished": 2, "by_lane": {"bulk": 2}, "oldest_at": 993.0}
    assert not own.head.keys() & {"troubles", "strikes", "pauses", "dispatchers", "url"}
    assert own.tables["workers"] == own.tables["waits"] == {}
    assert [row["tenant"] for row in own.tables["queues"].values()] == ["acme"]
    (row,) = own.tables["adapters"].values()
    assert (row["waiting"], row["traffic"], row["slots"]) == (0, None, [])
    assert b"other" not in page_bytes(whole(own, []))


def test_names_that_would_be_markup_travel_as_texts() -> None:
    sight = sight_of(snapshot(queues=(queue(HOSTILE),)), Sight())
    body = page_bytes(whole(sight, []))
    assert b"\n" not in body, "an event has one line of data"
    (row,) = json.loads(body)["tables"]["queues"].values()
    assert row["tenant"] == HOSTILE


def test_numbers_that_are_none_are_told_as_nothing() -> None:
    assert json.loads(page_bytes({"a": [1.5, float("inf")], "b": float("nan")})) == {
        "a": [1.5, None],
        "b": None,
    }


def test_who_comes_back_hears_what_it_missed_and_else_everything() -> None:
    channel = Channel()
    place, (event,) = channel.since(None)
    assert (place, b"event: whole" in event) == (0, True)
    sight = Sight()
    for jobs in range(1, 4):
        channel.show(sight := sight_of(snapshot(at=1000.0 + jobs, queues=(queue(jobs=jobs),)), sight))
    place, missed = channel.since(1)
    assert (place, len(missed)) == (3, 2)
    last = missed[-1].split(b"id: ")[1].split(b"\n")[0].decode()
    assert channel.place(last) == 3
    assert channel.since(3) == (3, [])
    for jobs in range(KEPT + 2):
        channel.show(sight := sight_of(snapshot(at=2000.0 + jobs, queues=(queue(jobs=jobs),)), sight))
    assert channel.place(last) is None
    assert b"event: whole" in channel.since(1)[1][0]


@pytest.mark.parametrize("given", ["", "x", "1", "0000.1", ".1", "é.1", "a.²", "a." + "9" * 40])
def test_an_id_that_nobody_gave_out_tells_nothing(given: str) -> None:
    assert Channel().place(given) is None


def test_of_a_large_yard_only_what_moves_travels__f3() -> None:
    """Jobs in 2,000 queues, 1,000 adapters, 64 workers; each second a tenth of the adapters is asked anew."""

    def large(at: float) -> YardSnapshot:
        return snapshot(
            at=at,
            queues=tuple(queue(f"t{n}", n % 10 + 1, at - 900 + n) for n in range(2000)),
            adapters=tuple(
                adapter(
                    f"a/b/c{n}", waiting=1 + int(at) % 7 * (n < 100), traffic=AdapterTraffic(per_second=n)
                )
                for n in range(1000)
            ),
            workers=tuple(worker(f"w{n}", rows_running=int(at) % 5) for n in range(64)),
        )

    sight = sight_of(large(1000.0), Sight())
    all_of_it = page_bytes(whole(sight, []))
    for second in range(1, 5):
        after = sight_of(large(1000.0 + second), sight)
        told = changes(sight, after)
        assert {name: len(table["rows"]) for name, table in told["tables"].items()} == {
            "adapters": 100,
            "workers": 64,
        }
        assert len(page_bytes(told)) < len(all_of_it) / 20
        sight = after
