"""`lorayard up`: starts, restarts, refuses, stops."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Up, interrupt, lorayard, start_up, wait_until

from lorayard_cli.exit_codes import ExitCode

pytestmark = pytest.mark.e2e

QUICK = ("up", "--engine", "echo", "--model", "tiny", "--workers", "1")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield int(holder.getsockname()[1])


def test_ctrl_c_stops_everything_and_leaves_no_child_behind(own_up: Up) -> None:
    children = set(own_up.state["children"])
    assert children == {"bus", "dispatcher", "w1", "w2"}
    assert interrupt(own_up) == ExitCode.OK
    assert own_up.survivors() == set()
    assert not (own_up.folder / ".lorayard" / "yard.json").exists()
    assert "the yard has stopped" in own_up.log.read_text()


def test_a_second_ctrl_c_stops_at_once(own_up: Up) -> None:
    stuck = own_up.pid("w1")
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)  # it cannot drain
    own_up.process.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping: workers finish" in own_up.log.read_text(), "the first Ctrl-C is heard")
    assert interrupt(own_up) == ExitCode.OK
    assert own_up.survivors() == set()


def test_children_die_with_a_supervisor_that_is_killed(own_up: Up) -> None:
    assert len(own_up.seen) == 4
    own_up.process.kill()
    wait_until(lambda: own_up.survivors() == set(), "the children are gone")


def test_a_killed_child_is_started_again_and_serves(own_up: Up) -> None:
    for child in ("w1", "dispatcher", "bus"):
        before = own_up.pid(child)
        assert before is not None
        os.kill(before, signal.SIGKILL)
        wait_until(lambda c=child, b=before: own_up.pid(c) not in (None, b), f"{child} is back")  # type: ignore[misc]  # bound early on purpose
    answer = own_up.run("submit", "--wait", "--json", "--timeout", "40", "--adapter", "acme/tiny/b", "Hello")
    assert answer.exit_code == ExitCode.OK, answer.err
    assert answer.document["text"] == "Hello"
    assert own_up.log.read_text().count("ended unexpectedly (killed by SIGKILL)") == 3


def test_a_folder_serves_again_after_its_yard_was_killed(own_up: Up) -> None:
    job = own_up.run("submit", "--json", "--wait", "Kept").document["job"]
    own_up.end()
    again = start_up(own_up.folder)
    try:
        kept = again.run("result", job, "--json")
        assert kept.document["text"] == "Kept"
    finally:
        again.end()


def test_a_second_yard_on_the_same_folder_is_refused_with_the_pid(up: Up) -> None:
    refused = up.run(*QUICK, "--port", "0", "--json")
    assert refused.exit_code == ExitCode.PORT_IN_USE
    assert refused.document["error"]["code"] == "yard_runs_already"
    assert str(up.process.pid) in refused.err


def test_a_port_in_use_is_named_with_the_way_out(taken_port: int, tmp_path: Path) -> None:
    refused = lorayard(*QUICK, "--port", str(taken_port), cwd=tmp_path)
    assert refused.exit_code == ExitCode.PORT_IN_USE
    assert f"port {taken_port}" in refused.err
    assert "--port 0" in refused.err


def test_a_missing_model_is_refused_before_anything_starts(tmp_path: Path) -> None:
    refused = lorayard("up", "--model", "./nowhere", "--port", "0", "--json", cwd=tmp_path)
    assert refused.exit_code == ExitCode.MODEL_MISSING
    assert "nowhere" in refused.document["error"]["message"]
    assert not (tmp_path / ".lorayard").exists()


def test_a_child_that_can_never_run_ends_the_yard_with_its_reason(tmp_path: Path) -> None:
    refused = lorayard(*QUICK, "--port", "0", cwd=tmp_path, env={"LORAYARD_LOOKAHEAD": "-5"})
    assert refused.exit_code == ExitCode.USAGE
    assert "w1 cannot run: LORAYARD_LOOKAHEAD" in refused.err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--workers", "0"), ("--port", "70000"), ("--adapters", "nowhere"), ("--threads", "0")],
)
def test_a_number_or_folder_of_no_use_is_named(option: str, value: str, tmp_path: Path) -> None:
    refused = lorayard("up", "--engine", "echo", option, value, cwd=tmp_path)
    assert refused.exit_code == ExitCode.USAGE
    assert option in refused.err


def test_it_says_what_to_type_next(up: Up) -> None:
    # The state file is written first.
    wait_until(lambda: "Ctrl-C stops it" in up.log.read_text(), "the welcome is out")
    log = up.log.read_text()
    assert f"yard is up: {up.state['url']}" in log
    assert "lorayard submit --wait --adapter acme/tiny/a" in log


def test_workers_are_added_and_removed_while_it_runs(own_up: Up) -> None:
    added = own_up.run("workers", "add", "--json")
    assert added.exit_code == ExitCode.OK, added.err
    assert added.document == {"added": ["w3"], "removed": [], "workers": ["w1", "w2", "w3"]}
    gone = own_up.pid("w1")
    removed = own_up.run("workers", "remove", "w1", "--json")
    assert removed.exit_code == ExitCode.OK, removed.err
    assert removed.document["workers"] == ["w2", "w3"]
    wait_until(lambda: set(own_up.state["children"]) == {"bus", "dispatcher", "w2", "w3"}, "w1 has gone")
    assert gone not in own_up.survivors()
    stranger = own_up.run("workers", "remove", "w1", "--json")
    assert stranger.exit_code == ExitCode.USAGE
    assert "which are: w2, w3" in stranger.document["error"]["message"]
    assert own_up.run("submit", "--wait", "--json", "--timeout", "40", "Hello").document["text"] == "Hello"
    assert own_up.run("workers", "add", "0").exit_code == ExitCode.USAGE
    assert interrupt(own_up) == ExitCode.OK
    assert own_up.survivors() == set()
