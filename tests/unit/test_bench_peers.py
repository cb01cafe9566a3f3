"""The comparison with other job queues: its arithmetic, and what it says of those that cannot run here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from benchmarks import record
from benchmarks.peers import bench
from benchmarks.peers import side as peer_side
from benchmarks.peers.peers import PEERS, SIDES, Peer, Server
from benchmarks.peers.report import Seen, holds, report
from benchmarks.peers.side import PeerError, PeerSide, redis_command, running_server
from benchmarks.peers.turn import Turn

PLAIN = Peer(name="plain", script="plain_side", server=Server.NATS, results=None)
KEEPER = Peer(name="keeper", script="keeper_side", server=Server.REDIS, results="1 hour")


def turns(*rates: float) -> list[Turn]:
    return [Turn(jobs=100, seconds=100 / rate, cpu_seconds=0.05) for rate in rates]


def seen(ours: list[Turn], peers: dict[str, list[Turn]], not_measured: dict[str, str] | None = None) -> Seen:
    return Seen(
        ours=ours,
        raw=[10_000.0] * len(ours),
        peers=peers,
        not_measured=not_measured or {},
        versions={},
        busy=[1.0] * len(ours),
    )


def test_ratios_pair_the_turns_of_one_round() -> None:
    rates = {"plain": turns(1000, 2000, 4000), "keeper": turns(500, 500, 500)}
    document = report((PLAIN, KEEPER), seen(turns(3000, 6000, 8000), rates))
    best = document["ratio_to_best_peer"]
    assert (best["peer"], best["low"], best["median"], best["high"]) == ("plain", 2.0, 3.0, 3.0)
    keeping = document["ratio_to_best_peer_with_results"]
    assert (keeping["peer"], keeping["median"]) == ("keeper", 12.0)
    assert document["ratio_to_raw"]["median"] == 0.6
    assert [row["peer"] for row in document["peers"]] == ["plain", "keeper"]
    assert document["cpu_us_per_job"]["median"] == 500
    assert holds(document)


@pytest.mark.parametrize(
    ("ours", "raw_holds", "best_holds"), [(2400.0, True, False), (1700.0, False, False), (2500.0, True, True)]
)
def test_a_run_that_misses_a_must_says_which(ours: float, raw_holds: bool, best_holds: bool) -> None:
    document = report((PLAIN,), seen(turns(ours), {"plain": turns(1000)}))
    assert document["ratio_to_raw"]["holds"] is raw_holds
    assert document["ratio_to_best_peer"]["holds"] is best_holds
    assert holds(document) is (raw_holds and best_holds)


def test_without_a_peer_nothing_holds_and_the_reason_is_told() -> None:
    document = report((PLAIN,), seen(turns(9000), {}, {"plain": "no server"}))
    assert document["ratio_to_best_peer"]["peer"] is None
    assert document["not_measured"] == {"plain": "no server"}
    assert not holds(document)


def test_every_peer_has_a_script_and_a_name_of_its_own() -> None:
    assert all((SIDES / f"{peer.script}.py").exists() for peer in PEERS)
    assert len({peer.name for peer in PEERS}) == len(PEERS)


def test_every_row_says_what_its_peer_promises() -> None:
    document = report(PEERS, seen(turns(1.0), {peer.name: turns(1.0) for peer in PEERS}))
    told = {
        row["peer"]: (row["runs"].partition(":")[0], row["results"] is not None) for row in document["peers"]
    }
    assert told["Celery, Redis"] == ("at most once", False)
    assert told["FastStream, NATS"] == ("at least once", False)
    assert told["FastStream, NATS, results"] == ("at least once", True)


def test_every_pinned_requirement_is_exact() -> None:
    for name in ("requirements.txt", "requirements-redis5.txt"):
        lines = (SIDES.parent / name).read_text(encoding="utf-8").splitlines()
        assert all("==" in line for line in lines if not line.startswith("#"))


def test_a_library_that_is_not_installed_is_told_with_the_command(tmp_path: Path) -> None:
    with (
        pytest.raises(PeerError, match="make bench-peers"),
        PeerSide(PLAIN, tmp_path / "python", tmp_path, payload_bytes=1),
    ):
        pass


def test_a_missing_redis_server_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PeerError, match="apt-get install redis-server"):
        redis_command(tmp_path, 1)


def test_a_failing_producer_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_side, "SIDES", tmp_path)
    (tmp_path / "plain_side.py").write_text("raise SystemExit('no such library')")
    with (
        pytest.raises(PeerError, match=r"its producer ended: no such library"),
        PeerSide(PLAIN, Path(sys.executable), tmp_path, payload_bytes=1),
    ):
        pass


def test_a_turn_counts_the_ticks_of_its_worker_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = tmp_path / "sides"
    sides.mkdir()
    (sides / "ticks.py").write_text((SIDES / "ticks.py").read_text(encoding="utf-8"))
    (sides / "plain_side.py").write_text(
        "import os, sys, time\n"
        "from ticks import FOLDER, serve, tick\n"
        "jobs = FOLDER / 'jobs'\n"
        "if sys.argv[1] == 'worker':\n"
        "    with open(jobs) as lines:\n"
        "        for line in lines:\n"
        "            tick()\n"
        "os.mkfifo(jobs)\n"
        "def produce(count):\n"
        "    global pipe\n"
        "    pipe = globals().get('pipe') or open(jobs, 'w', buffering=1)\n"
        "    pipe.writelines(['job\\n'] * count)\n"
        "    pipe.flush()\n"
        "serve(produce, {'plain': str(os.getpid())})\n"
    )
    monkeypatch.setattr(peer_side, "SIDES", sides)
    with PeerSide(PLAIN, Path(sys.executable), tmp_path, payload_bytes=1) as side:
        turn = side.turn(100)
    assert turn.jobs == 100
    assert 0 < turn.seconds < peer_side.TURN_SECONDS
    assert not psutil.pid_exists(int(side.versions["plain"]))


def test_a_server_ends_with_its_turn(tmp_path: Path) -> None:
    me = psutil.Process()
    before = set(me.children())
    with running_server(Server.NATS, tmp_path) as url:
        [server] = set(me.children()) - before
        assert url.startswith("nats://127.0.0.1:")
    assert not server.is_running()


def test_a_run_without_the_environment_lists_each_peer_as_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def ours() -> tuple[float, Turn]:
        return 10_000.0, turns(5000)[0]

    monkeypatch.setattr(bench, "_yard_turn", ours)
    monkeypatch.setattr(bench, "cores_busy", lambda: None)
    assert bench.main(["--quick", "--environment", str(tmp_path)]) == 1
    document: dict[str, Any] | None = record.read_document(capsys.readouterr().out)
    assert document is not None
    assert set(document["not_measured"]) == {peer.name for peer in PEERS}
    assert document["jobs_per_second"]["rounds"] == bench.QUICK_ROUNDS
    assert document["cores_busy_elsewhere"] is None
    assert json.dumps(document)
