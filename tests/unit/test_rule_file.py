"""Rules as an operator writes them, and what is said of a file that cannot be used (B1, B2)."""

from __future__ import annotations

import pytest

from lorayard_schemas.routes import ORDER, Match, Stage
from lorayard_shared.registry.errors import RuleFileError
from lorayard_shared.registry.rule_file import read_rules

GOOD = """
order = ["explicit", "task", "tenant", "metadata", "session", "default"]

[[rule]]
name = "sums"
task = { glob = "sum*" }
adapter = "acme/tiny/echo@stable"

[[rule]]  # who pays
name = "gold"
metadata.plan = { in = ["gold", "silver"] }
metadata."a b" = "c"
session = { prefix = "chat-" }
adapter = "base"

[[rule]]
name = "rest"
tenant = ["acme", "other"]
adapter = "acme/tiny/echo"
"""


def test_a_file_says_order_and_rules__b1__b2() -> None:
    table = read_rules(GOOD, "rules.toml")
    assert table.order[1] is Stage.TASK
    assert [rule.label for rule in table.rules] == ["task:sums", "metadata:gold", "tenant:rest"]
    assert table.rules[0].task == Match(glob="sum*")
    assert table.rules[1].metadata == {"plan": Match(one_of=("gold", "silver")), "a b": Match(exact="c")}
    assert table.rules[2].tenant == Match(one_of=("acme", "other"))


def test_an_empty_file_is_no_rules_in_the_usual_order__b2() -> None:
    table = read_rules("", "rules.toml")
    assert (table.rules, table.order) == ((), ORDER)


@pytest.mark.parametrize(
    ("before", "after", "line", "words"),
    [
        ('task = { glob = "sum*" }', 'tasks = "x"', 6, "unknown field 'tasks'; a rule has name, tenant"),
        ('task = { glob = "sum*" }', 'task = { like = "x" }', 6, "unknown field"),
        ('task = { glob = "sum*" }', 'task = { glob = "x", exact = "x" }', 6, "exactly one of"),
        ('task = { glob = "sum*" }', "task = 7", 6, "task"),
        ('adapter = "base"', 'adapter = "Base"', 14, "is not an adapter"),
        ('adapter = "base"', "", 9, "exactly one of adapter, adapters and add: there is none"),
        ('name = "gold"', 'name = "sums"', 10, "two rules are called 'sums'"),
        ('name = "rest"', 'name = "Rest!"', 17, "pattern"),
        ('"task", "tenant"', '"task", "task"', 2, "name each of these once"),
        ('"task", "tenant"', '"task", "tnant"', 2, "Input should be"),
        ("order = ", "oder = ", 2, "unknown field 'oder'"),
        ("[[rule]]  # who pays", "[[rule]", 9, "no TOML"),
        ('metadata.plan = { in = ["gold", "silver"] }', "metadata.plan = { in = [] }", 11, "at least 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_line_of_what_is_wrong__b1(
    before: str, after: str, line: int, words: str
) -> None:
    assert before in GOOD
    with pytest.raises(RuleFileError) as caught:
        read_rules(GOOD.replace(before, after, 1), "rules.toml")
    assert words in str(caught.value)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"rules.toml:{line}: ")


def test_a_rule_that_is_no_table_is_refused_with_how_to_write_one__b1() -> None:
    with pytest.raises(RuleFileError, match=r"^rules\.toml:2: rule: write \[\[rule\]\] above each rule$"):
        read_rules("\nrule = 3", "rules.toml")
