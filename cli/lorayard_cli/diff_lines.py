"""What changed between two adapters, as lines of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from lorayard import AdapterDiff

if TYPE_CHECKING:  # numpy comes with `lorayard[adapters]`
    from lorayard_shared.adapters.comparing import ModuleDiff

NUMBER = 9
NAME = 80 - 4 * (NUMBER + 1)
"""Columns left for a module's name."""
VALUE = 29
"""Of a setting: two of them and its name make a line."""


def diff_lines(found: AdapterDiff, most: int | None) -> list[str]:
    """`most`: of modules; None: all."""
    changed = [field for field in found.fields if not field.same]
    lines = [f"A  {found.first.label}", f"B  {found.second.label}", ""]
    for field in changed:
        first, second = _cut(field.first, VALUE), _cut(field.second, VALUE)
        lines.append(f"{_cut(field.field, 20):<20} {first:<{VALUE}} {second}")
    if not changed:
        lines.append("settings and template are the same")
    return [*lines, "", *_modules(found.modules, most)]


def _modules(modules: Sequence[ModuleDiff], most: int | None) -> Iterator[str]:
    moved = [module for module in modules if module.weight]
    if not moved:
        yield f"the updates of all {len(modules)} modules are the same"
        return
    prefix = _common([module.module for module in modules])
    shown = moved[:most]
    heading = f"{prefix}*" if prefix else "module"
    yield _row(heading, ("A norm", "B norm", "change", "cosine"))
    for module in shown:
        yield _line(module, prefix)
        if module.note:
            yield f"  {_cut(module.note, 78)}"
    if len(shown) < len(moved):
        yield f"and {len(moved) - len(shown)} more that changed less (--modules 0 prints all)"
    if len(moved) < len(modules):
        yield f"{len(modules) - len(moved)} modules did not change"


def _line(module: ModuleDiff, prefix: str) -> str:
    numbers = (
        _number(module.first_norm, ".4g"),
        _number(module.second_norm, ".4g"),
        _number(module.change, ".3g"),
        _number(module.cosine, ".4f"),
    )
    return _row(module.module.removeprefix(prefix), numbers)


def _row(name: str, numbers: Sequence[str]) -> str:
    return " ".join([f"{_cut(name, NAME):<{NAME}}", *(f"{number:>{NUMBER}}" for number in numbers)])


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _common(names: Sequence[str]) -> str:
    """What all begin with, in whole words: it is printed once."""
    paths = [name.split(".")[:-1] for name in names]
    pairs = zip(min(paths), max(paths), strict=False)  # what the outermost two share, all share
    return "".join(f"{one}." for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _cut(text: str, columns: int) -> str:
    text = " ".join(text.split())
    if len(text) <= columns:
        return text
    half = (columns - 1) // 2
    return f"{text[: columns - 1 - half]}…{text[-half:]}"
