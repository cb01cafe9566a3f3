"""What is wrong is said, with its mend and a section of the runbook; of a yard that is well, nothing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.unit.view.conftest import NOW, MakeState, made_advert, made_depth, made_worker

from lorayard.view import fleet_troubles, troubles
from lorayard.view.fleet import LOST_SECONDS, SILENT_SECONDS, SeenWorker
from lorayard.view.yard_state import ConsumerState, StreamState
from lorayard_schemas.advert import RefusedAdapter
from lorayard_schemas.control import Controlled, Pause
from lorayard_schemas.health import HealthReport
from lorayard_schemas.job import Lane
from lorayard_schemas.snapshot import TroubleLevel
from lorayard_schemas.status import DispatcherStatus, ParkedGroup
from lorayard_schemas.strike import Strike
from lorayard_schemas.subjects import JobAddress

RUNBOOK = Path(__file__).parents[3] / "docs/runbook.md"
JOBS = made_depth({JobAddress(lane=Lane.NORMAL, tenant="acme", adapter="a/b/c"): 7})
DEAF = ConsumerState(name="dispatch-normal", pending=7, unacked=0, pulls=0, delivered=3, quiet_seconds=2.5)
FULL = StreamState(name="YARD_JOBS", messages=1, bytes=96, most_bytes=100, refuses=True)
BLIND = DispatcherStatus(dispatcher="d1", started_at=0.0, blind=True, stale=2, workers=("a", "b"))
DEAF_DISPATCHER = DispatcherStatus(dispatcher="d1", started_at=0.0, faults=("it asks for jobs",))
KEEPING = DispatcherStatus(
    dispatcher="d1", started_at=0.0, held=(ParkedGroup(adapter="_", jobs=4096, oldest_seconds=1.0),)
)
SKEWED = SeenWorker(name="w1", advert=made_advert(at=NOW - 60), stored_at=NOW, silent_since=NOW)
REFUSING = made_worker(refused_adapters=(RefusedAdapter(name="a/b/c", version="2", reason="no weights"),))

CASES: dict[str, dict[str, Any]] = {
    "no_dispatcher": {"living": (), "seats": frozenset()},
    "partition_vacant": {"partitions": 2},
    "dispatcher_silent": {"silent_dispatchers": ("d1",)},
    "dispatcher_blind": {"dispatchers": (BLIND,)},
    "dispatcher_deaf": {"dispatchers": (DEAF_DISPATCHER,)},
    "dispatcher_failures": {"dispatchers": (DispatcherStatus(dispatcher="d1", started_at=0.0, failures=1),)},
    "no_worker": {"workers": (), "depth": JOBS},
    "no_worker_takes_jobs": {"workers": (made_worker(load={"draining": True}),), "depth": JOBS},
    "worker_lost": {"workers": (made_worker(), made_worker("w2", ago=LOST_SECONDS + 0.1))},
    "worker_silent": {"workers": (made_worker(), made_worker("w2", ago=SILENT_SECONDS + 0.1))},
    "worker_trouble": {"workers": (made_worker(trouble="the engine hangs"), made_worker("w2"))},
    "worker_stuck": {"workers": (made_worker(faults=("its thread engine is still at a step",)),)},
    "host_silent": {"silent_hosts": ("gateway 7 on a",)},
    "host_deaf": {"unready_hosts": (HealthReport(process="exporter 8 on a", ready=False, missing=("x",)),)},
    "emergency": {"workers": (made_worker(emergency=True),)},
    "base_models_differ": {"workers": (made_worker(), made_worker("w2", base_digest="sha256:" + "1" * 64))},
    "adapter_refused": {"workers": (REFUSING,)},
    "stream_missing": {"missing": ("YARD_TOKENS",)},
    "stream_full": {"streams": (FULL,)},
    "consumer_deaf": {"consumers": (DEAF,)},
    "queue_stands": {"lane_ages": {Lane.NORMAL: NOW - 400}},
    "paused_waiting": {"depth": JOBS, "pauses": (Pause(kind=Controlled.TENANT, name="acme", why="w"),)},
    "struck_waiting": {"depth": JOBS, "strikes": (Strike(adapter="a/b/c@1", why="w"),)},
    "dead_letters": {"depth": made_depth(dead=3), "dead_before": 1, "dead_seconds": 60.0},
    "clock_skew": {"workers": (SKEWED,)},
    "record_unreadable": {"unreadable": {"yard_workers/w1": "it is no map"}},
}

SILENT: dict[str, dict[str, Any]] = {
    "all is well": {},
    "a lane that is paused stands still on purpose": {
        "consumers": (DEAF,),
        "lane_ages": {Lane.NORMAL: NOW - 400},
        "pauses": (Pause(kind=Controlled.LANE, name="normal", why="w"),),
    },
    "a dispatcher that holds all it may pulls no more": {"consumers": (DEAF,), "window": 0},
    "nor does one that keeps back as much of any lane": {"consumers": (DEAF,), "dispatchers": (KEEPING,)},
    "bulk work may wait": {"lane_ages": {Lane.BULK: NOW - 4000}},
    "a stream whose oldest leave may be full": {
        "streams": (StreamState(name="YARD_AUDIT", messages=1, bytes=99, most_bytes=100, refuses=False),)
    },
    "a strike on another version holds nothing of this one": {
        "depth": made_depth({JobAddress(lane=Lane.NORMAL, tenant="acme", adapter="a/b/c@2"): 7}),
        "strikes": (Strike(adapter="a/b/c@1", why="w"),),
    },
    "a worker that is a little late": {"workers": (made_worker(ago=1.5),)},
}


@pytest.mark.parametrize("code", CASES)
def test_trouble_is_told_with_its_mend__f3(make_state: MakeState, code: str) -> None:
    told = {one.code: one for one in troubles.troubles(make_state(**CASES[code]))}
    assert told.keys() == {code}
    assert told[code].text
    assert told[code].mend


@pytest.mark.parametrize("why", SILENT)
def test_nothing_is_told_where_nothing_is_wrong(make_state: MakeState, why: str) -> None:
    assert troubles.troubles(make_state(**SILENT[why])) == (), why


def test_every_code_has_a_case_and_a_section_of_the_runbook() -> None:
    sources = "".join(Path(str(module.__file__)).read_text() for module in (troubles, fleet_troubles))
    codes = set(re.findall(r'code="(\w+)"', sources))
    assert codes == CASES.keys()
    assert codes <= set(re.findall(r"^### (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))


def test_a_lane_that_is_full_hides_no_other_that_is_deaf(make_state: MakeState) -> None:
    full = ConsumerState(
        name="dispatch-bulk", pending=9, unacked=4096, pulls=0, delivered=1, quiet_seconds=60.0
    )
    told = troubles.troubles(make_state(consumers=(full, DEAF)))
    assert [(one.code, one.about) for one in told] == [("consumer_deaf", DEAF.name)]


def test_a_mend_is_one_command_whatever_a_tenant_is_called__g5(make_state: MakeState) -> None:
    name = "x; rm -rf $HOME '"
    depth = made_depth({JobAddress(lane=Lane.NORMAL, tenant=name, adapter="a/b/c"): 1})
    held = {
        "pauses": (Pause(kind=Controlled.TENANT, name=name, why="w"),),
        "strikes": (Strike(adapter="a/b/c", tenant=name, why="w"),),
    }
    mends = {one.code: one.mend for one in troubles.troubles(make_state(depth=depth, **held))}
    paused, struck = (shlex.split(mends[code]) for code in ("paused_waiting", "struck_waiting"))
    assert paused[-4:] == ["lorayard", "tenants", "resume", name]
    assert struck[-6:] == ["strikes", "lift", "--adapter", "a/b/c", "--tenant", name]


def test_of_many_that_are_lost_at_once_the_first_are_named(make_state: MakeState) -> None:
    gone = tuple(made_worker(f"w{number}", ago=LOST_SECONDS + 0.1) for number in range(64))
    told = [one for one in troubles.troubles(make_state(workers=gone)) if one.code == "worker_lost"]
    assert len(told) == fleet_troubles.MOST_NAMED + 1
    assert told[-1].text == "59 more workers are gone without a word"


def test_the_worst_comes_first(make_state: MakeState) -> None:
    told = troubles.troubles(make_state(workers=(SKEWED,), missing=("YARD_JOBS",)))
    assert [one.level for one in told] == [TroubleLevel.CRITICAL, TroubleLevel.WARNING]
