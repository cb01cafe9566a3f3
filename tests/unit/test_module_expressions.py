"""Expressions of module names from strangers: only a small grammar reaches a compiler (C8, G3, G5)."""

from __future__ import annotations

import re

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from lorayard_shared.adapters.expression import MAX_STEPS, ExpressionError, check_grammar
from lorayard_shared.adapters.patterns import check_expression

_PIECES = [
    *("a", ".", "\\.", "[", "]", "[^]", "[a-z]", "(", "(?:", "(?=", "(?!", ")", "|", "*", "+", "?", "{2}"),
    *(
        "{1,}",
        "{0,3}",
        "{",
        "}",
        "^",
        "$",
        "\\b",
        "\\d",
        "\\1",
        "\\",
        "-",
        ",",
        "9",
        "(?R)",
        "(?i)",
        "{e<=1}",
    ),
]


@pytest.mark.parametrize(
    "expression",
    [
        r".*\.(q|v)_proj",
        r"model\.layers\.[0-4]\.mlp\.(?!gate).*",
        r"^(model\.language_model(?=\.).*\.(q_proj|k_proj|gate_proj))$",
        r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj).*?)"
        r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|k_proj)))",
        r".*layers\.(1[0-9]|2\d{0,1})\.[\w.\-]+?_proj",
        "|".join(f"model.layers.{i}.self_attn.q_proj" for i in range(100)),
    ],
)
def test_what_people_and_tools_write_is_accepted__c8(expression: str) -> None:
    check_expression("target_modules", expression)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(" * 2000 + ")" * 2000, "groups nested more than 32 deep at character 33"),
        ("(?:(?:.?){50000}){50000}", "a repeat of more than 64 times at character 10"),
        ("(?:(?:.?){64}){64}" * 3, "more than 10000 elements"),
        ("(?:" * 30 + ".?" + ")+" * 30, "more than 10000 elements"),
        ("a{65}", "a repeat of more than 64 times at character 2"),
        ("a{2,65}", "a repeat of more than 64 times"),
        ("a{65,}", "a repeat of more than 64 times"),
        ("(?:(?R))*", r"an unsupported group '(?R' at character 4"),
        (r"(a)\1", "an unsupported escape"),
        (r"\p{L}", "an unsupported escape"),
        ("(?P<n>a)(?&n)", "an unsupported group '(?P' at character 1"),
        ("(?i)a", "an unsupported group '(?i' at character 1"),
        ("(?<=a)b", "an unsupported group '(?<' at character 1"),
        ("(?>a+)b", "an unsupported group '(?>' at character 1"),
        ("a++", "nothing that can be repeated before the repeat at character 3"),
        ("(?=a)*", "nothing that can be repeated before the repeat at character 6"),
        ("(*PRUNE)a", "nothing that can be repeated before the repeat at character 2"),
        ("(?:abc){e<=1}", "an unsupported '{' at character 8"),
        ("[a", "an unterminated or unsupported character class at character 1"),
        ("a[z-a]", "bad character range z-a at character 2"),
        (r"[\d-z]", r"bad character range \d-z at character 1"),
        ("[a--b]", "a class that engines may take for a set operation at character 1"),
        ("[[:alpha:]]", "an unterminated or unsupported character class at character 1"),
        ("a)", "unmatched ) at character 2"),
        ("((", "missing ) for the group at character 2"),
    ],
)
def test_whatever_else_is_refused_with_the_setting_and_the_place__c8_g5(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"target_modules: .*{re.escape(reason)}"):
        check_expression("target_modules", expression)


@given(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))
def test_what_the_grammar_takes_both_engines_compile_to_the_same_meaning__c8(expression: str) -> None:
    try:
        check_grammar(expression)
    except ExpressionError as error:
        assert 1 <= error.position <= len(expression)  # noqa: PT017
        return
    theirs, ours = re.compile(expression), regex.compile(expression)
    for name in ("", "a", "aa", "a.a", "9", "a-a,", "^a$"):
        assert bool(theirs.fullmatch(name)) == bool(ours.fullmatch(name, timeout=1))


def test_the_largest_number_of_elements_is_the_last_that_is_taken__c8() -> None:
    check_grammar("a" * (MAX_STEPS - 1))
    with pytest.raises(ExpressionError, match="more than 10000 elements at character 10000"):
        check_grammar("a" * MAX_STEPS)
