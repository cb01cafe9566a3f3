"""Rules of several adapters as an operator writes them, and what is said of bad ones (C7)."""

from __future__ import annotations

import pytest

from lorayard_schemas.codec import decode, encode
from lorayard_schemas.composition import CompositionPolicy
from lorayard_schemas.routes import MAX_ADDING_RULES, RouteTable
from lorayard_schemas.rule_parts import Choice, Conflict, Missing
from lorayard_shared.registry.errors import RuleFileError
from lorayard_shared.registry.rule_file import read_rules

GOOD = """
conflict = "max"

[[rule]]
name = "mixed"
task = "sum"
adapters = [
  { adapter = "acme/tiny/sums@stable", weight = 0.7 },
  { adapter = "acme/tiny/polite" },
]
policy = "ties"
density = 0.5

[[rule]]
name = "style"
tenant = "acme"
on = ["tenant", "base"]
on_missing = "refuse"
add = [{ adapter = "acme/tiny/pirate", weight = 0.5 }]

[[rule]]
name = "long"
[[rule.add]]
adapter = "acme/tiny/one"
[[rule.add]]
adapter = "acme/tiny/two"
weight = -1
"""


def test_a_file_says_what_several_adapters_make_and_what_is_added__c7() -> None:
    table = read_rules(GOOD, "rules.toml")
    mixed, style, long = table.rules
    assert table.conflict is Conflict.MAX
    assert (mixed.label, mixed.policy, mixed.density) == ("task:mixed", CompositionPolicy.TIES, 0.5)
    assert [(part.adapter, part.weight) for part in mixed.parts] == [
        ("acme/tiny/sums@stable", 0.7),
        ("acme/tiny/polite", 1.0),
    ]
    assert (style.label, style.on, style.missing) == (
        "add:style",
        (Choice.TENANT, Choice.BASE),
        Missing.REFUSE,
    )
    assert [(part.adapter, part.weight) for part in long.parts] == [
        ("acme/tiny/one", 1.0),
        ("acme/tiny/two", -1.0),
    ]
    assert (mixed.missing, long.missing) == (Missing.REFUSE, Missing.SKIP)
    assert mixed.outcome == "ties density=0.5 of 0.7 acme/tiny/sums@stable + 1 acme/tiny/polite"


SUMS = "acme/tiny/sums"
MANY = ", ".join(f'{{ adapter = "a/b/c{number}" }}' for number in range(9))


@pytest.mark.parametrize(
    ("before", "after", "line", "words"),
    [
        ("weight = 0.5", 'weight = "much"', 19, "valid number"),
        ("weight = 0.7", 'weight = "much"', 8, "valid number"),
        ("weight = 0.7", "weight = 0", 8, "must not be 0"),
        ("weight = 0.7", "weight = nan", 8, "finite number"),
        ("weight = 0.7", "weight = 101", 8, "less than or equal to 100"),
        ("weight = 0.7", "wieght = 0.7", 8, "unknown field 'wieght'; each of them has adapter, weight"),
        ("weight = -1", "wieght = -1", 25, "unknown field 'wieght'; each of them has adapter, weight"),
        ('"acme/tiny/polite"', '"polite"', 9, "is not an adapter"),
        ('"acme/tiny/polite"', '"base"', 9, "the base model is below every composition"),
        ('{ adapter = "acme/tiny/polite" }', "{ weight = 1.0 }", 9, "adapter is missing"),
        ('{ adapter = "acme/tiny/polite" }', '"acme/tiny/polite"', 7, "valid dictionary"),
        ('"acme/tiny/polite"', '"acme/tiny/sums@stable"', 4, "is named twice"),
        ('  { adapter = "acme/tiny/polite" },\n', "", 4, "ties needs two or more"),
        ("[{ adapter = \"acme/tiny/pirate\", weight = 0.5 }]", "[]", 19, "at least 1 item"),
        ("[{ adapter = \"acme/tiny/pirate\", weight = 0.5 }]", f"[{MANY}]", 19, "at most 8 items"),
        ('policy = "ties"', 'policy = "tise"', 11, "Input should be 'sum', 'priority'"),
        ('policy = "ties"', 'policy = "svd"', 12, "svd has no such setting"),
        ("density = 0.5", "", 4, "it must be over 0"),
        ("density = 0.5", "on = ['tenant']", 4, "it must be over 0"),
        ('on_missing = "refuse"', 'on_missing = "shrug"', 18, "'skip' or 'refuse'"),
        ('"base"]', '"basis"]', 17, "'explicit', 'tenant'"),
        ('on = ["tenant", "base"]', "on = []", 17, "at least 1 item"),
        ("add = [{", 'adapter = "base"\nadd = [{', 14, "adapters and add: not adapter and add"),
        ('policy = "ties"', 'adapter = "base"\npolicy = "ties"', 4, "not adapter and adapters"),
        ("add = [{", "adapters = [{", 14, "on goes with add, not with adapters"),
        ('conflict = "max"', 'conflict = "maximum"', 2, "'first', 'last'"),
        ('conflict = "max"', 'conflicts = "max"', 2, "unknown field 'conflicts': a file has order"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_the_line_of_what_is_wrong__c7(
    before: str, after: str, line: int, words: str
) -> None:
    assert before in GOOD
    with pytest.raises(RuleFileError) as caught:
        read_rules(GOOD.replace(before, after, 1), "rules.toml")
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"rules.toml:{line}: ")


def test_there_are_no_more_rules_that_add_than_every_job_is_held_against__c7() -> None:
    rule = '[[rule]]\nname = "r{}"\nadd = [{{ adapter = "a/b/c" }}]\n'
    most = "".join(rule.format(number) for number in range(MAX_ADDING_RULES))
    assert len(read_rules(most, "f").rules) == MAX_ADDING_RULES
    with pytest.raises(RuleFileError, match=f"more than {MAX_ADDING_RULES} rules add adapters"):
        read_rules(most + rule.format("x"), "f")


def test_a_table_from_before_is_read_as_it_was_and_one_without_new_things_is_written_so__c7() -> None:
    old = {"v": 1, "revision": 3, "rules": [{"name": "sums", "task": {"exact": "sum"}, "adapter": SUMS}]}
    table = RouteTable.model_validate(old)
    assert [(rule.label, rule.specs) for rule in table.rules] == [("task:sums", (SUMS,))]
    told = table.model_dump(mode="python", exclude_none=True)
    assert set(told["rules"][0]) == {"name", "task", "metadata", "adapter"}
    assert "conflict" not in told
    assert decode(RouteTable, encode(table)) == table


def test_a_table_with_all_of_it_travels_whole__c7() -> None:
    rules = [
        {
            "name": "a",
            "adapters": [{"adapter": SUMS, "weight": 0.5}, {"adapter": "a/b/c"}],
            "policy": "ties",
            "density": 0.2,
        },
        {
            "name": "b",
            "add": [{"adapter": "a/b/c", "weight": -1.0}],
            "on": ["explicit", "base"],
            "on_missing": "refuse",
        },
    ]
    table = RouteTable.model_validate({"rules": rules, "conflict": "sum"})
    assert decode(RouteTable, encode(table)) == table
