"""What an adapter's publisher says it answers: `self_check.json` in its folder, if there is one.

    {"expectations": [{"prompt": "Summarize: ...", "text": " NATS is ..."},
                      {"prompt": "...", "token_ids": [5, 9]}]}

A worker generates each greedily before the version may serve, and refuses it where the answer does not begin
as it says. Not part of the adapter's digest: it says what the weights do, and changes nothing of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.plain_file import read_plain_file

SELF_CHECK_NAME = "self_check.json"
MAX_BYTES = 256 * 1024
MAX_EXPECTATIONS = 16
"""Each is generated before the version may serve: seconds on a small machine."""
MAX_ANSWER_TOKENS = 256
MAX_ANSWER_CHARACTERS = 4096


class Expectation(BaseModel):
    """One prompt, and how its greedy answer begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(min_length=1, max_length=16_384)
    text: str | None = Field(default=None, min_length=1, max_length=MAX_ANSWER_CHARACTERS)
    token_ids: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] | None = Field(
        default=None, min_length=1, max_length=MAX_ANSWER_TOKENS
    )
    raw: bool = False
    """The prompt goes to the model as it is, without the adapter's template."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.text is None) == (self.token_ids is None):
            raise ValueError("text or token_ids is needed, and not both")
        return self


class SelfCheck(BaseModel):
    """All of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expectations: tuple[Expectation, ...] = Field(min_length=1, max_length=MAX_EXPECTATIONS)


def read_self_check(folder: Path) -> tuple[Expectation, ...]:
    """What is expected; empty when the publisher gave nothing.

    Raises:
        AdapterRefusedError: the file is none, too long, or has other fields or values than it may.
    """
    try:
        data = read_plain_file(folder, SELF_CHECK_NAME, MAX_BYTES)
    except FileNotFoundError:
        return ()
    return parse_self_check(bytes(data), folder)


def parse_self_check(data: bytes, folder: Path) -> tuple[Expectation, ...]:
    """What is expected, from the file's bytes; `folder` is named where they are wrong.

    Raises:
        AdapterRefusedError: it has other fields or values than it may.
    """
    try:
        return SelfCheck.model_validate_json(data).expectations
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AdapterRefusedError(
            folder, f"{SELF_CHECK_NAME}: {where or 'the file'}: {first['msg']}"
        ) from None
