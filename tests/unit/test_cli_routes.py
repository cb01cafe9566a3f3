"""Files of rules that `lorayard routes set` refuses before it asks the bus."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

import lorayard_cli
from lorayard import InvalidRequestError, RouteTable, Trace
from lorayard.registry.rules import Rules
from lorayard_cli.commands.routes import foot_lines, trace_lines
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.additions import Additions, LeftOut
from lorayard_shared.jobs.resolve import Added, Resolution
from lorayard_shared.jobs.tracing import Step

NOBODY = ("--url", "nats://127.0.0.1:1")


def test_a_file_that_is_not_there_is_bad_input_as_a_folder_that_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none.toml")
    assert lorayard_cli.run(["routes", "set", missing, *NOBODY]) == ExitCode.BAD_INPUT
    assert f"{missing}: it cannot be read (No such file or directory)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", "# later\n", 'order = ["explicit", "session", "tenant", "task", "metadata", "default"]\n']
)
def test_a_file_without_rules_takes_none_away_unless_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    assert lorayard_cli.run(["routes", "set", str(file), *NOBODY]) == ExitCode.BAD_INPUT
    assert "there is no [[rule]] in it" in capsys.readouterr().err


def test_what_is_told_of_rules_and_of_a_request_stands_in_80_columns() -> None:
    long = "acme/tiny/a-rather-long-name-of-an-adapter"
    step = Step(what="add:style", decides=True, why=f"everything fits: -1.5 {long} + 1 {long} + 2 {long}")
    left = LeftOut(adapter=long, rule="style", why=f"3 {long}@1 stands (conflict = last), and so on")
    additions = Additions(by=("style",), left_out=(left,))
    found = Resolution(rule="base", record=None, added=Added(additions=additions))
    lines = list(trace_lines(Trace(steps=(step,), additions=(step,), found=found)))
    assert all(len(line) <= 80 for line in lines)
    assert lines[:2] == [f"-> add:style: everything fits: -1.5 {long} +", f"     1 {long} + 2"]
    foot = list(foot_lines(RouteTable()))
    assert len(foot) > 1
    assert all(len(line) <= 80 for line in foot)


@pytest.mark.parametrize(("prompt", "reason"), [("", "empty"), (" \n", "empty"), ("\udcff", "as UTF-8")])
async def test_a_prompt_that_no_job_can_have_is_refused_before_the_yard_is_asked(
    prompt: str, reason: str
) -> None:
    def nobody() -> NoReturn:
        raise AssertionError("no yard is needed")

    with pytest.raises(InvalidRequestError, match=reason) as refused:
        await Rules(nobody).test(prompt=prompt)
    assert refused.value.field == "prompt"
