"""What `lorayard bench adapters` makes of what it saw: no server, no worker, nothing is timed here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

import lorayard_cli
from lorayard_cli.bench.adapters import judge
from lorayard_cli.bench.adapters_report.document import make_document, print_document
from lorayard_cli.bench.adapters_report.goals import GOALS
from lorayard_cli.bench.adapters_sides import first_answer, rollback, transfer
from lorayard_cli.bench.adapters_sides.first_answer import Steps
from lorayard_cli.bench.adapters_sides.guarding import answers_until_stopped, guard_figures
from lorayard_cli.bench.adapters_sides.meaning import (
    ADAPTERS,
    TOPIC_WORDS,
    WORDS,
    classifier_files,
    decision_figures,
)
from lorayard_cli.bench.adapters_sides.rollback import Rollback, Seen, Start
from lorayard_cli.bench.adapters_sides.sharing import sharing_figures
from lorayard_cli.bench.adapters_sides.sizes import FULL, QUICK
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_report.goals import Sense
from lorayard_cli.bench.engine_report.rows import exit_code
from lorayard_cli.bench.figures import spread
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.assignment import AliasRef
from lorayard_schemas.audit import DecisionRecord
from lorayard_shared.semantic.artifact import artifact_of
from lorayard_shared.semantic.classifier import Classifier
from lorayard_shared.semantic.encoder import EncoderFiles
from lorayard_shared.semantic.record import EncoderKind

ROLLBACK = Rollback(at=100.0, left=2, revision=3)


def decided(job: str, revision: int, at: float) -> DecisionRecord:
    return DecisionRecord(
        at=at,
        dispatcher="d",
        plan=1,
        job=job,
        tenant="t",
        lane="normal",
        alias=AliasRef(name=f"{rollback.NAME}@{rollback.ALIAS}", revision=revision),
        rule="explicit",
        phase="homes",
        source="slot",
        worker="w",
    )


def started(job: str, revision: int, at: float, worker: str = "w") -> Start:
    return Start(job=job, revision=revision, worker=worker, at=at, answered_at=at + 1.0)


def seen_rollback(*late: DecisionRecord, starts: tuple[Start, ...] = ()) -> dict[str, Figure]:
    """Jobs a and b were given before, c after; b began when the dispatcher knew already."""
    decisions = [decided("a", 2, 99.9), decided("b", 2, 100.01), decided("c", 3, 100.02), *late]
    began = (started("a", 2, 100.0), started("c", 3, 103.0), *starts)
    return rollback.figures([ROLLBACK], Seen(decisions=decisions, starts=list(began)))


def test_a_rollback_lasts_until_the_last_start_on_what_was_left__d4() -> None:
    assert seen_rollback()["rollback_p99"].value.median == 0.0
    late = seen_rollback(starts=(started("b", 2, 100.25),))
    assert late["rollback_p99"].value.median == pytest.approx(0.25)
    assert (late["given_after"].value.median, late["begun_after"].value.median) == (0, 1)


def test_what_a_worker_begins_on_the_old_version_after_it_has_answered_by_the_new_one_counts__d4() -> None:
    told = seen_rollback(starts=(started("b", 2, 103.5),))
    assert told["begun_knowing"].value.median == 0, "its first answer by the new one is not out"
    late = seen_rollback(starts=(started("b", 2, 104.5),))
    assert (late["begun_knowing"].value.median, late["begun_after"].value.median) == (1, 1)
    elsewhere = seen_rollback(starts=(started("b", 2, 104.5, "v"),))
    assert elsewhere["begun_knowing"].value.median == 0, "that one has not answered yet"


def test_a_job_given_to_the_old_version_after_one_of_the_new_revision_counts__d4() -> None:
    again = seen_rollback(decided("d", 2, 100.03), decided("e", 3, 100.04))
    assert (again["given_after"].value.median, again["begun_after"].value.median) == (1, 0)


def test_transfers_are_told_as_ratios_of_neighbouring_rounds_with_their_rates() -> None:
    seen = transfer.Rounds(
        raw_put=[100.0, 200.0],
        push=[50.0, 50.0],
        raw_get=[10.0, 20.0],
        pull=[30.0, 40.0],
        again_seconds=[0.5, 0.1],
    )
    found = transfer.figures(16, seen)
    assert found["push_16"].value == spread([0.5, 0.25])
    assert found["pull_16"].value == spread([3.0, 2.0])
    assert found["again_16"].value.median == pytest.approx(300)
    assert found["push_16"].facts == {"mb_per_second": 50.0, "raw_mb_per_second": 150.0}


def test_weights_for_a_transfer_have_the_size_that_they_are_named_by(tmp_path: Path) -> None:
    folder = transfer.make_weights(tmp_path, 1, seed=1)
    size = (folder / transfer.WEIGHTS).stat().st_size
    assert transfer.MIB <= size < 1.01 * transfer.MIB
    assert (folder / transfer.WEIGHTS).read_bytes() != (
        transfer.make_weights(tmp_path / "other", 1, seed=2) / transfer.WEIGHTS
    ).read_bytes()


def test_the_way_to_a_first_answer_is_judged_as_a_whole_and_told_by_step() -> None:
    steps = [Steps(push=1.0, validate=2.0, activate=0.5, answer=number) for number in (0.5, 1.5, 2.5)]
    found = first_answer.figures(steps)
    assert found["first_answer"].value == spread([4.0, 5.0, 6.0])
    assert found["first_validate"].value.median == 2.0
    assert "answer 1500" in found["first_answer"].note


def test_the_guard_is_asked_for_canaries_that_are_worse_and_for_equals__d4() -> None:
    found = guard_figures(guard_seeds=5, equal_seeds=5, equal_answers=100)
    assert found["guard_broken"].value.median == 20
    assert found["guard_broken"].value.median < found["guard_twice"].value.median < 2000
    assert found["guard_false"].value.median == 0.0
    assert answers_until_stopped(0.5, 1, most=10) is None


def test_shares_and_choices_have_their_figures__d4() -> None:
    found = sharing_figures(2000)
    assert found["share_error"].value.median < 2.0
    assert found["sticky"].value.median == 100.0
    assert 0 < found["resolve"].value.median < found["resolve_rules"].value.median


@pytest.fixture
def encoder() -> EncoderFiles:
    """A token for each word that prompts are drawn from."""
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(("?", *WORDS))}, unk_token="?"))
    words.pre_tokenizer = WhitespaceSplit()
    rows = np.random.default_rng(1).integers(-127, 127, (len(WORDS) + 1, 16), np.int8)
    table = save({"rows": rows, "scales": np.full(len(rows), 0.01, np.float32)})
    return EncoderFiles(kind=EncoderKind.BASE_TABLE, tokenizer=words.to_str().encode(), table=table)


def test_choosing_by_meaning_has_its_figures_at_each_number_of_adapters(encoder: EncoderFiles) -> None:
    found = decision_figures(encoder, 50, note="words", whole=False, adapters=(2, 5))
    assert set(found) == {f"meaning_{key}_{count}" for key in ("p50", "p99") for count in (2, 5)}
    assert all(figure.value.median > 0 and not figure.whole for figure in found.values())
    assert {f"meaning_p99_{count}" for count in ADAPTERS} <= {goal.key for goal in GOALS}


def test_a_synthetic_classifier_tells_its_topics_apart(encoder: EncoderFiles) -> None:
    """Else it would abstain on all, and a decision would be another one."""
    classifier = Classifier(artifact_of(classifier_files(encoder, 3)))
    own = " ".join(Random(1).sample(WORDS, TOPIC_WORDS))
    assert classifier.choose(own).adapter == "acme/bench/topic-0001"


def everything() -> dict[str, Figure]:
    """A figure for each goal, as good as it must be."""
    return {goal.key: Figure(value=spread([1.0 if goal.must is None else goal.must])) for goal in GOALS}


def test_every_goal_is_judged_and_a_missed_must_fails_the_run() -> None:
    found = everything()
    rows, gaps = judge(found)
    assert not gaps
    assert exit_code(rows) == ExitCode.OK
    assert make_document(rows, gaps, found, {})["holds"] is True
    for goal in (goal for goal in GOALS if goal.must is not None):
        worse = (goal.must or 0.0) + (1.0 if goal.sense is Sense.AT_MOST else -0.1)
        missed, _ = judge({**found, goal.key: Figure(value=spread([worse]))})
        assert exit_code(missed) == ExitCode.FAILED, goal.key


def test_a_must_without_a_figure_leaves_the_verdict_open_and_is_listed() -> None:
    found = everything()
    del found["rollback_p99"]
    rows, gaps = judge(found)
    assert [gap.goal.key for gap in gaps] == ["rollback_p99"]
    assert make_document(rows, gaps, found, {})["holds"] is None


def test_a_must_that_is_reached_over_a_lesser_model_leaves_the_verdict_open() -> None:
    found = everything()
    found["meaning_p99_1000"] = Figure(value=spread([1.0]), whole=False)
    rows, gaps = judge(found)
    assert exit_code(rows) == ExitCode.OK
    assert make_document(rows, gaps, found, {})["holds"] is None


def test_the_document_has_every_row_with_its_limits_and_the_surroundings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = everything()
    rows, gaps = judge(found)
    document = json.loads(json.dumps(make_document(rows, gaps, found, {"quick": True})))
    assert (document["bench"], document["quick"], document["not_measured"]) == ("adapters", True, [])
    assert {"date", "cores", "machine", "python", "nats_server", "lorayard", "fairness"} <= document.keys()
    assert [row["key"] for row in document["rows"]] == [goal.key for goal in GOALS]
    for row in document["rows"]:
        assert {"title", "sense", "must", "holds", "value"} <= row.keys()
        assert {"median", "low", "high", "rounds"} <= row["value"].keys()
    print_document(rows, gaps)
    assert "every must measured here holds" in capsys.readouterr().out


def test_a_quick_run_is_smaller_and_still_as_large_as_its_figures_need() -> None:
    assert QUICK.rollbacks >= 30
    assert QUICK.versions >= 5
    assert QUICK.assignments == FULL.assignments == 10_000
    assert QUICK.transfer_mib == FULL.transfer_mib == (1, 16, 64)
    assert QUICK.transfer_rounds < FULL.transfer_rounds


@pytest.mark.parametrize("quick", [True, False])
def test_the_command_hands_on_its_options_and_exit_code(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, bool]] = []

    def run(*, quick: bool, as_json: bool) -> int:
        asked.append((quick, as_json))
        return ExitCode.FAILED

    stand_in: Any = ModuleType("lorayard_cli.bench.adapters")
    stand_in.run = run
    monkeypatch.setitem(sys.modules, "lorayard_cli.bench.adapters", stand_in)
    options = ["--quick"] if quick else []
    assert lorayard_cli.run(["bench", "adapters", "--json", *options]) == ExitCode.FAILED
    assert asked == [(quick, True)]
