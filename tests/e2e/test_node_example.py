"""The Node.js example does what docs/bus.md says, with public packages alone, on a real yard (E1).

Its packages come from npm's registry, by the versions and digests of its lockfile. Where nobody answers there
the tests are skipped, but not in CI.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from tests.e2e.conftest import Up, node_lines, npm_ci, run_node, start_up

from lorayard_schemas.asyncapi import asyncapi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "node"
PUSHED_BACK_JOBS = 60
"""Of 120 KB each, all at once, into a queue of 1 MiB."""


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as a user has it after `npm ci`."""
    return npm_ci(EXAMPLE, tmp_path_factory.mktemp("node") / "example")


@pytest.fixture
def small_yard(tmp_path: Path) -> Iterator[Up]:
    """A yard whose queue is soon full."""
    started = start_up(tmp_path, env={"LORAYARD_JOBS_MAX_BYTES": str(2**20)})
    yield started
    started.end()


def run(example: Path, yard: Up, *arguments: str) -> list[dict[str, Any]]:
    """The lines of JSON that a script prints."""
    return node_lines(example, *arguments, env={"LORAYARD_URL": yard.state["url"]})


def ended(example: Path, yard: Up, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script that has run to its end."""
    return run_node(example, *arguments, env={"LORAYARD_URL": yard.state["url"]})


def test_a_program_in_javascript_submits_streams_reads_and_cancels__e1(example: Path, small_yard: Up) -> None:
    told = run(example, small_yard, "tour.mjs")
    (submit, again, fetch, stream, cancel, unknown, malformed) = told
    assert (submit["state"], submit["text"]) == ("succeeded", "The quick brown fox.")
    assert again == {"step": "again", "duplicate": True}
    assert fetch == {"step": "fetch", "same": True, "missing": True}
    assert stream["same"]
    assert stream["pieces"] >= 1
    assert (cancel["outcome"], cancel["state"], cancel["next"]) == ("cancelled", "cancelled", "finished")
    assert (unknown["code"], unknown["field"]) == ("unknown_adapter", "adapter")
    assert (malformed["code"], malformed["field"]) == ("malformed_job", "sampling.temperature")
    (bulk,) = run(example, small_yard, "bulk.mjs", str(PUSHED_BACK_JOBS))
    assert bulk["states"] == {"succeeded": PUSHED_BACK_JOBS}
    assert bulk["pushedBack"], "a full queue says so, and takes it later"


def test_a_program_that_names_an_adapter_that_there_is_not_is_told_so__e1(
    example: Path, small_yard: Up
) -> None:
    done = ended(example, small_yard, "tour.mjs", "acme/gemma3-270m/nobody")
    assert done.returncode == 1
    assert done.stderr.startswith("unknown_adapter: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    pieces = """
        import { Yard } from "./yard.mjs";
        const yard = await Yard.connect({ servers: process.env.LORAYARD_URL });
        const pieces = yard.pieces("j");
        await yard.submit({ id: "j", prompt: "p", stream: true }, { adapter: "acme/gemma3-270m/nobody" });
        for await (const piece of pieces) console.log(JSON.stringify(piece));
        await yard.close();
    """
    assert run(example, small_yard, "--input-type=module", "--eval", pieces) == []


def test_the_asyncapi_file_is_one_by_the_official_schema__e1(example: Path) -> None:
    schemas = example / "node_modules" / "@asyncapi" / "specs" / "schemas"
    official = json.loads((schemas / f"{asyncapi()['asyncapi']}.json").read_text(encoding="utf-8"))
    document = json.loads((ROOT / "schemas" / "asyncapi.json").read_text(encoding="utf-8"))
    errors = [
        f"{list(error.path)}: {error.message}" for error in Draft7Validator(official).iter_errors(document)
    ]
    assert errors == []


def test_the_lockfile_names_no_host() -> None:
    """Whoever installs asks the registry that is set there."""
    lock = json.loads((EXAMPLE / "package-lock.json").read_text(encoding="utf-8"))
    packages = [told for name, told in lock["packages"].items() if name]
    assert all("resolved" not in told and told["integrity"].startswith("sha512-") for told in packages)
