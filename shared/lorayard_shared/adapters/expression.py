"""The small grammar of module expressions, judged before any regular expression engine sees one.

A compiler or matcher can be crashed or made to take all memory: by groups nested thousands deep, by counted
repeats in counted repeats (and by `+`, of which engines make a copy), by recursion. What module names need,
and tools write, has none of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_DEPTH = 32
"""Groups within groups; tools write up to four. A parser needs several stack frames for each."""

MAX_TIMES = 64
"""Of `{m,n}`: a module name has fewer parts, and a number in it far fewer digits."""

MAX_STEPS = 10_000
"""Elements once repeats are written out. No expression without repeats has so many, and one that has is
compiled in 0.05 s to a few MiB."""

_TOKEN = re.compile(
    r"(?P<open>\((?:\?[:=!]|(?!\?)))"
    r"|(?P<close>\))"
    r"|(?P<bar>\|)"
    r"|(?P<repeat>(?:[*+?]|\{(?P<least>[0-9]+)(?P<open_end>,(?P<most>[0-9]+)?)?\})\??)"
    r"|(?P<place>[\^$]|\\[bBAZ])"
    r"|(?P<one>\[(?!\^?\])\^?(?:[^\\\[\]]|\\[dDwWsS!-/:-@\[-`{-~])+\]|\\[dDwWsS!-/:-@\[-`{-~]|[^\\\[\]{}()])"
)


class ExpressionError(ValueError):
    """An expression leaves the grammar; `position` counts characters from 1."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} at character {position}")
        self.reason = reason
        self.position = position


@dataclass(slots=True, kw_only=True)
class _Group:
    start: int
    ahead: bool = False
    steps: int = 1
    last: int = 0  # steps of the element just read, 0 where there is none to repeat


def check_grammar(expression: str) -> None:
    """Literals, escapes, classes, groups, alternatives, repeats, look-ahead. Raises ExpressionError."""
    groups = [_Group(start=0)]
    at = 0
    while at < len(expression):
        token = _TOKEN.match(expression, at)
        if token is None:
            raise ExpressionError(_unknown(expression[at:]), at + 1)
        _take(groups, token)
        if groups[-1].steps > MAX_STEPS:
            raise ExpressionError(f"repeats make more than {MAX_STEPS} elements", at + 1)
        at = token.end()
    if len(groups) > 1:
        raise ExpressionError("missing ) for the group", groups[-1].start + 1)


def _take(groups: list[_Group], token: re.Match[str]) -> None:
    group = groups[-1]
    match token.lastgroup:
        case "open":
            if len(groups) > MAX_DEPTH:
                raise ExpressionError(f"groups nested more than {MAX_DEPTH} deep", token.start() + 1)
            groups.append(_Group(start=token.start(), ahead=token[0] in {"(?=", "(?!"}))
        case "close":
            if len(groups) == 1:
                raise ExpressionError("unmatched )", token.start() + 1)
            groups.pop()
            groups[-1].steps += group.steps
            groups[-1].last = 0 if group.ahead else group.steps
        case "repeat":
            if not group.last:
                raise ExpressionError("nothing that can be repeated before the repeat", token.start() + 1)
            group.steps += group.last * (_copies(token) - 1)
            group.last = 0
        case "one":
            _check_ranges(token)
            group.steps, group.last = group.steps + 1, 1
        case _:
            group.steps, group.last = group.steps + 1, 0


def _check_ranges(token: re.Match[str]) -> None:
    """A class alone is safe to compile, and only a compiler knows its ranges. Raises ExpressionError."""
    if not token[0].startswith("["):
        return
    if any(operator in token[0] for operator in ("--", "&&", "||", "~~")):
        raise ExpressionError("a class that engines may take for a set operation", token.start() + 1)
    try:
        re.compile(token[0])
    except re.error as error:
        raise ExpressionError(error.msg, token.start() + 1) from error


def _copies(token: re.Match[str]) -> int:
    """How often engines write the repeated element down. Raises ExpressionError."""
    if token["least"] is None:
        return 2 if token[0].startswith("+") else 1
    least = int(token["least"])
    most = int(token["most"]) if token["most"] else least
    if max(least, most) > MAX_TIMES:
        raise ExpressionError(f"a repeat of more than {MAX_TIMES} times", token.start() + 1)
    return max(1, least + 1 if token["open_end"] and not token["most"] else most)


def _unknown(rest: str) -> str:
    if rest.startswith("["):
        return "an unterminated or unsupported character class"
    if rest.startswith("\\"):
        return f"an unsupported escape {rest[:2]!r}"
    if rest.startswith("("):
        return f"an unsupported group {rest[:3]!r}"
    return f"an unsupported {rest[:1]!r}"
