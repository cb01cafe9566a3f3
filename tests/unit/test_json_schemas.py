"""The JSON Schema files in the repository are those of the models, and say what the models say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.unit.message_samples import SAMPLES

from lorayard_schemas.job import JobStub
from lorayard_schemas.json_schemas import MESSAGES, schema_files, write
from lorayard_schemas.message import Message

FOLDER = Path(__file__).parents[2] / "schemas" / "json"


def _schema(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def test_the_files_checked_in_are_those_of_the_models() -> None:
    """On a difference: `python -m lorayard_schemas.json_schemas`."""
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert found == schema_files()


def test_every_message_that_travels_has_a_file() -> None:
    """`JobStub` is a way to read a job, not a message of its own."""
    travelling = {
        kind for kind in Message.__subclasses__() if kind.__module__.startswith("lorayard_schemas.")
    }
    assert travelling - {JobStub} == set(MESSAGES)


def test_every_file_has_a_sample_here() -> None:
    assert {type(sample) for sample in SAMPLES} == set(MESSAGES)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_file_is_a_valid_schema(kind: type[Message]) -> None:
    Draft202012Validator.check_schema(_schema(kind.__name__))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_a_message_as_written_fits_its_schema(sample: Message) -> None:
    Draft202012Validator(_schema(type(sample).__name__)).validate(json.loads(sample.model_dump_json()))


@pytest.mark.parametrize(
    "bad",
    [{}, {"id": "a b", "prompt": "x"}, {"id": "a", "sampling": {"top_p": 0}}, {"id": "a", "v": 2}, {"id": 1}],
)
def test_the_jobs_schema_refuses_what_the_model_refuses(bad: dict[str, Any]) -> None:
    assert list(Draft202012Validator(_schema("Job")).iter_errors(bad))


def test_writing_makes_the_folder_and_every_file(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "json")
    assert {path.name for path in (tmp_path / "deep" / "json").iterdir()} == set(schema_files())
