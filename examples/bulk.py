"""Answer a file or a folder: `python bulk.py prompts.jsonl answers.jsonl`.

It may be killed and started again as often as you like.

The input is JSON lines `{"id": "a", "prompt": "..."}`, which may also name an `adapter` and more options
of `GenerateRequest`, or a folder of text files, each of which is a prompt and its name the id. The output
has one line for each id, in the order in which they are answered: `{"id": "a", "text": "..."}`, or `"error"`.

Started again it goes on behind what the output has. What was under way when it was killed is not run again:
its idempotency key leads to the job that there is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from lorayard import GenerateRequest, LorayardError, MapItem, SyncClient

CONCURRENCY = 256
"""Enough for several workers; in memory are no more prompts and answers than these."""


def read_inputs(source: Path) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Ids, and what is asked of each: prompt and options, or what is wrong with its line."""
    if source.is_dir():
        for file in sorted(source.glob("*.txt")):
            yield file.stem, {"prompt": file.read_text(encoding="utf-8")}
        return
    with source.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield read_line(number, line)


def read_line(number: int, line: str) -> tuple[str, dict[str, Any] | str]:
    """A bad line harms no other."""
    try:
        asked: dict[str, Any] = json.loads(line)
        return str(asked.pop("id")), asked
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"line {number}", f"line {number}: a JSON object with an id is needed"


def read_done(output: Path, *, drop_errors: bool) -> set[str]:
    """Ids that have their line; the half line of one that was killed while it wrote is cut off."""
    if not output.exists():
        return set()
    lines = [line for line in output.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    told = [(line, json.loads(line)) for line in lines]
    kept = [(line, answer) for line, answer in told if not (drop_errors and "error" in answer)]
    replaced = output.with_name(f"{output.name}.new")
    replaced.write_bytes(b"".join(line for line, _ in kept))
    replaced.replace(output)
    return {answer["id"] for _, answer in kept}


class Answers:
    """The output, a line for each id."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.answered = 0
        self.errors = 0

    def write(self, name: str, **told: object) -> None:
        """At once, so that a kill loses nothing."""
        self._file.write(json.dumps({"id": name, **told}, ensure_ascii=False) + "\n")
        self._file.flush()
        self.answered += "error" not in told
        self.errors += "error" in told

    def write_item(self, item: MapItem) -> None:
        """An answer, or why there is none."""
        name = (item.request.metadata or {})["id"]
        if item.result is not None:
            self.write(name, text=item.result.text, adapter=item.result.adapter, job=item.job_id)
        else:
            self.write(name, error=str(item.error), job=item.job_id)


def requests(source: Path, done: set[str], run: str, answers: Answers) -> Iterator[GenerateRequest]:
    """What is still to be asked, read as it is needed."""
    for name, asked in read_inputs(source):
        if name in done:
            continue
        done.add(name)  # an id that comes twice is asked once
        if isinstance(asked, str):
            answers.write(name, error=asked)
            continue
        own: dict[str, Any] = {
            "lane": "bulk",
            **asked,
            "idempotency_key": f"{run}/{name}",
            "metadata": {"id": name},
        }
        try:
            yield GenerateRequest(**own)
        except TypeError as error:  # no prompt, or an option that there is not
            answers.write(name, error=str(error).removeprefix("GenerateRequest.__init__() "))


def main(source: Path, output: Path, again: str | None) -> int:
    """Answer what has no line yet; 1 when some got an error instead."""
    done = read_done(output, drop_errors=again is not None)
    run = again or "bulk"
    with SyncClient() as yard, output.open("a", encoding="utf-8") as file:
        answers = Answers(file)
        asked = requests(source, done, run, answers)
        for item in yard.map(asked, ordered=False, concurrency=CONCURRENCY):
            answers.write_item(item)
    print(f"{answers.answered} answered, {answers.errors} errors, {len(done)} in all", file=sys.stderr)
    return 1 if answers.errors else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Answer a file or a folder of prompts.")
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--again", metavar="NAME", help="ask what got an error once more, under keys of this name"
    )
    given = parser.parse_args()
    try:
        sys.exit(main(given.source, given.output, given.again))
    except LorayardError as error:
        sys.exit(str(error))
