"""How the bench drives vLLM's process: a stand-in speaks its lines, so no vLLM is needed."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from lorayard_cli.bench.engine_sides.faults import SideFaultError
from lorayard_cli.bench.engine_sides.traffic import Ask, Traffic
from lorayard_cli.bench.engine_sides.vllm_side import VllmSide

READY = 'print(json.dumps({"ready": True, "vllm": "0", "torch": "0", "cpu_seconds": 9}), flush=True)'
COUNTS = """
for line in sys.stdin:
    made = [new for ids, adapter, new in json.loads(line)]
    print(json.dumps({"made": made, "cpu_ms": 5, "wall_ms": 7}), flush=True)
"""
STOPS_SHORT = """
for line in sys.stdin:
    print(json.dumps({"made": [1 for ask in json.loads(line)], "cpu_ms": 5, "wall_ms": 7}), flush=True)
"""
DIES = 'sys.stderr.write("no such instruction"); sys.exit(3)'
TRAFFIC = Traffic(
    name="two",
    adapters=2,
    rank=8,
    asks=tuple(Ask(prompt="a", ids=(5, 6), adapter=n, new_tokens=n + 2) for n in range(2)),
)


def make_child(folder: Path, *lines: str) -> Path:
    """An interpreter that runs these lines, whatever it is given to run."""
    path = folder / "python"
    path.write_text("\n".join([f"#!{sys.executable}", "import json, sys", *map(textwrap.dedent, lines)]))
    path.chmod(0o755)
    return path


def side(folder: Path, *lines: str) -> VllmSide:
    return VllmSide(make_child(folder, *lines), folder, [folder], max_loras=1, max_rank=8, log=folder / "log")


def test_traffic_costs_what_the_child_says(tmp_path: Path) -> None:
    with side(tmp_path, READY, COUNTS) as vllm:
        vllm.await_ready()
        cost = vllm.run(TRAFFIC)
        again = vllm.run(TRAFFIC)
    assert (cost.cpu_ms, cost.wall_ms) == (5.0, 7.0)
    assert again == cost
    assert (vllm.versions, vllm.load_cpu_seconds) == ({"vllm": "0", "torch": "0"}, 9.0)


def test_traffic_can_use_adapters_further_on_in_the_childs_list(tmp_path: Path) -> None:
    first_is = """
        for line in sys.stdin:
            asks = json.loads(line)
            made = [new if adapter == 4 + n else 0 for n, (ids, adapter, new) in enumerate(asks)]
            print(json.dumps({"made": made, "cpu_ms": 5, "wall_ms": 7}), flush=True)
    """
    with side(tmp_path, READY, first_is) as vllm:
        vllm.await_ready()
        assert vllm.run(TRAFFIC, first_adapter=4).cpu_ms == 5.0


def test_a_child_that_made_other_numbers_of_tokens_did_not_do_the_work(tmp_path: Path) -> None:
    with side(tmp_path, READY, STOPS_SHORT) as vllm:
        vllm.await_ready()
        with pytest.raises(SideFaultError, match=r"tokens \[1, 1\], not \[2, 3\]"):
            vllm.run(TRAFFIC)


def test_a_child_that_ends_is_a_fault_that_shows_its_log(tmp_path: Path) -> None:
    with (
        side(tmp_path, DIES) as vllm,
        pytest.raises(SideFaultError, match=r"exit code 3.*no such instruction"),
    ):
        vllm.await_ready()


def test_leaving_ends_a_child_that_is_still_busy(tmp_path: Path) -> None:
    own = tmp_path / "pid"
    tells = f"import os, time, pathlib; pathlib.Path({str(own)!r}).write_text(str(os.getpid()))"
    with side(tmp_path, tells, READY, "time.sleep(600)") as vllm:
        vllm.await_ready()
    assert not psutil.pid_exists(int(own.read_text()))
