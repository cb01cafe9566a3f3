"""An adapter from a laptop to its first answer (D2, D3, D5): no worker ever saw it, and nothing restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.conftest import Up

from lorayard_cli.exit_codes import ExitCode
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.e2e

NAME = "acme/tiny/fresh"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = make_tiny_adapter(tmp_path / "mine", seed=40, targets=("q_proj",))
    (made / "prompt_template.txt").write_text("[1] {prompt}")
    return made


def test_a_pushed_adapter_answers_without_a_restart__d2_d3_d5(up: Up, folder: Path, tmp_path: Path) -> None:
    workers = {child: up.pid(child) for child in ("worker-1", "worker-2")}
    version = ("--name", NAME, "--version", "1")
    pushed = up.run("adapters", "push", str(folder), *version, "--label", "task=a", "--activate", "--json")
    assert pushed.exit_code == ExitCode.OK, pushed.err
    assert pushed.document["adapter"]["state"] == "active"
    assert pushed.document["sent_bytes"] == pushed.document["size_bytes"] > 0

    answer = up.run("submit", "--adapter", NAME, "--wait", "--json", "hello").document
    assert (answer["text"], answer["version"]) == ("[1] hello", "1")
    assert answer["digest"] == pushed.document["adapter"]["digest"]
    assert {child: up.pid(child) for child in workers} == workers

    again = up.run("adapters", "push", str(folder), *version)
    assert "is active (it was pushed before)" in again.out
    assert "0.0 of" in again.out
    pulled = up.run("adapters", "pull", f"{NAME}@1", str(tmp_path / "copy"))
    assert pulled.exit_code == ExitCode.OK, pulled.err
    assert {file.name: file.read_bytes() for file in (tmp_path / "copy").iterdir()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }

    other = make_tiny_adapter(tmp_path / "other", seed=41, targets=("q_proj",))
    taken = up.run("adapters", "push", str(other), *version, "--json")
    assert taken.exit_code == ExitCode.BAD_INPUT
    assert taken.document["error"]["code"] == "version_taken"

    archived = up.run("adapters", "archive", f"{NAME}@1", "--why", "done", "--json")
    assert archived.document["adapter"]["state"] == "archived"
    refused = up.run("submit", "--adapter", f"{NAME}@1", "--wait", "hello")
    assert refused.exit_code == ExitCode.UNKNOWN_ADAPTER


def test_a_version_that_a_worker_refuses_ends_with_the_reason__d3(up: Up, folder: Path) -> None:
    (folder / "self_check.json").write_text('{"expectations": [{"prompt": "a", "text": "never this"}]}')
    name = "acme/tiny/refused"
    ran = up.run("adapters", "push", str(folder), "--name", name, "--version", "1", "--activate")
    assert ran.exit_code == ExitCode.BAD_INPUT
    assert "self_check.json: expectations.0: the answer begins" in ran.err


def test_a_folder_that_is_none_is_refused_with_its_file(up: Up, tmp_path: Path) -> None:
    ran = up.run("adapters", "push", str(tmp_path), "--name", NAME, "--version", "9", "--json")
    assert ran.exit_code == ExitCode.BAD_INPUT
    assert ran.document["error"]["code"] == "bad_adapter"
    assert "adapter_config.json is missing" in ran.document["error"]["message"]
