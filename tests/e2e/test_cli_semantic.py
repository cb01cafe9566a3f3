"""From a file of example prompts to an answer by the adapter that a prompt means (B4, B1)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.conftest import Up, wait_until

from lorayard_cli.exit_codes import ExitCode
from lorayard_workers.model_store import resolve_model

pytestmark = pytest.mark.e2e

WORDS = ("ship", "sum", "deck", "ocean", "plus", "storm", "total", "ledger")


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    rows = [("acme/tiny/a", f"zzz yyy {word}") for word in WORDS]
    rows += [("acme/tiny/b", f"eee ooo {word}") for word in WORDS]
    file = tmp_path / "examples.jsonl"
    file.write_text("".join(json.dumps({"adapter": name, "prompt": text}) + "\n" for name, text in rows))
    return file


def test_a_prompt_that_names_no_adapter_is_answered_by_the_one_it_means__b4__b1(
    up: Up, examples: Path, tmp_path: Path
) -> None:
    model = str(resolve_model("tiny", tmp_path / "models"))
    trained = up.run("routes", "train", str(examples), "--base", model, "--precision", "0.8", "--json")
    assert trained.exit_code == ExitCode.OK, trained.err

    def is_in_force() -> bool:
        told = up.run("status", "--json").document["dispatcher"]["semantic"]
        return bool(told) and told["revision"] == trained.document["revision"]

    try:
        wait_until(is_in_force, "the classifier is in force")
        answers = [up.run("submit", "--wait", "--json", text).document for text in ("zzz yyy x", "eee ooo x")]
        assert [one["rule"] for one in answers] == ["semantic", "semantic"]
        assert [one["adapter"] for one in answers] == ["acme/tiny/a", "acme/tiny/b"]
        assert all(one["confidence"] > 0.5 for one in answers)
        wait_until(lambda: "2 decided" in up.run("status").out, "the dispatcher tells so")
    finally:
        off = up.run("routes", "classifier", "off", "--why", "the test is over")
    assert off.exit_code == ExitCode.OK, off.err
    wait_until(lambda: not is_in_force(), "other tests are answered as before")
