"""Answers that fit a JSON schema (C12), in a batch with rows that know nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from jsonschema import Draft202012Validator
from llguidance import LLParserLimits

from lorayard_workers.base_model import load_base_model
from lorayard_workers.engine.grammar import MAX_SCHEMA_BYTES, Grammar, Grammars
from lorayard_workers.engine.outcome import Failed, FailureKind, FinishReason, Outcome, Succeeded
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.errors import RequestRefusedError

StartYard = Callable[..., Any]

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
CHOICE = {"anyOf": [{"const": "yes"}, {"const": "no"}, {"type": "null"}]}
NESTED = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "boolean"},
                "child": {"anyOf": [{"$ref": "#/$defs/leaf"}, {"type": "null"}]},
            },
            "required": ["value", "child"],
            "additionalProperties": False,
        },
        "leaf": {"type": "string", "pattern": "^[a-z]{2,5}-[0-9]{2}$"},
    },
    "$ref": "#/$defs/node",
}
SCHEMAS: dict[str, dict[str, Any]] = {"person": PERSON, "choice": CHOICE, "nested": NESTED}


@pytest.fixture(scope="module")
def grammars(tiny_model: Path) -> Grammars:
    base = load_base_model(tiny_model)
    return Grammars(base.tokenizer, vocabulary=512, end_ids=sorted(base.eos_ids))


def ask(request_id: str, *, adapter: str | None = None, **sampling: Any) -> GenerationRequest:
    given: dict[str, Any] = {"max_new_tokens": 240} | sampling
    settings = Sampling(**given)
    return GenerationRequest(request_id=request_id, prompt="Say: ", adapter=adapter, sampling=settings)


def done(outcome: Outcome) -> Succeeded:
    assert isinstance(outcome, Succeeded), outcome
    return outcome


def fits(text: str, schema: dict[str, Any]) -> bool:
    return Draft202012Validator(schema).is_valid(json.loads(text))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_answer_parses_and_validates_beside_rows_whose_text_stays__c6_c12(
    start_yard: StartYard, name: str
) -> None:
    """Greedy, and drawn at temperature 2 from a model that writes noise, with every other option in turn."""
    yard = start_yard()
    keys = [None, *yard.adapters]
    schema = json.dumps(SCHEMAS[name])
    options: list[dict[str, Any]] = [
        {},
        {"temperature": 2.0, "seed": 1},
        {"temperature": 2.0, "seed": 2, "top_k": 20, "top_p": 0.9, "min_p": 0.01},
        {"temperature": 2.0, "seed": 3, "repetition_penalty": 1.3, "presence_penalty": 1.0},
        {"temperature": 2.0, "seed": 4, "min_new_tokens": 200, "ignore_eos": True, "logprobs": 2},
        {"logit_bias": ((2, 100.0), (3, 100.0)), "frequency_penalty": -0.5},
    ]
    held = [ask(f"held-{i}", adapter=keys[i], json_schema=schema, **o) for i, o in enumerate(options)]
    free = [ask(f"free-{i}", adapter=key, max_new_tokens=24) for i, key in enumerate(keys[:4])]
    alone = yard.run(*free)
    together = yard.run(held[0], free[0], held[1], *free[1:], *held[2:])
    for row in held:
        outcome = done(together[row.request_id])
        assert outcome.finish_reason is FinishReason.STOP
        assert fits(outcome.text, SCHEMAS[name]), outcome.text
    for row in free:
        assert done(together[row.request_id]).text == done(alone[row.request_id]).text


def test_many_seeds_at_temperature_two_all_fit__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    schema = json.dumps(PERSON)
    found = yard.run(*(ask(str(i), json_schema=schema, temperature=2.0, seed=i) for i in range(24)))
    texts = {done(outcome).text for outcome in found.values()}
    assert len(texts) == 24
    assert all(fits(text, PERSON) for text in texts)


def test_the_same_seed_gives_the_same_document_alone_and_in_company__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    request = ask("a", json_schema=json.dumps(PERSON), temperature=2.0, seed=9)
    others = [ask(str(i), json_schema=json.dumps(CHOICE), temperature=2.0, seed=i) for i in range(4)]
    assert done(yard.run(request)["a"]).text == done(yard.run(request, *others)["a"]).text


def test_a_document_cut_by_the_token_limit_says_so__c12(start_yard: StartYard) -> None:
    found = start_yard().run(ask("a", json_schema=json.dumps(PERSON), max_new_tokens=6))
    outcome = done(found["a"])
    assert (outcome.finish_reason, outcome.completion_tokens) == (FinishReason.LENGTH, 6)
    with pytest.raises(json.JSONDecodeError):
        json.loads(outcome.text)


def test_a_stop_string_cuts_a_document__c12(start_yard: StartYard) -> None:
    found = start_yard().run(ask("a", json_schema=json.dumps(PERSON), stop=('"age"',)))
    outcome = done(found["a"])
    assert outcome.finish_reason is FinishReason.STOP
    assert outcome.text.startswith("{")
    assert "age" not in outcome.text


def test_documents_stream_like_any_text__c12(start_yard: StartYard) -> None:
    outcomes, chunks = start_yard().stream(ask("a", json_schema=json.dumps(NESTED), temperature=2.0, seed=4))
    assert "".join(chunk.text for chunk in chunks["a"]) == done(outcomes["a"]).text


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "a JSON object"),
        ("true", "a JSON object"),
        ('{"type": "frog"}', "frog"),
        ('{"not": {"type": "string"}}', "not"),
        ('{"not": {}, "x-guidance": {"lenient": true}}', "not"),
        ('{"type": "string", "pattern": "(?=a)"}', "look"),
        ('{"$ref": "#/nowhere"}', "nowhere"),
        ('{"type": "integer", "minimum": 5, "maximum": 2}', "nsatisfiable"),
        ('{"description": "' + "x" * MAX_SCHEMA_BYTES + '"}', str(MAX_SCHEMA_BYTES)),
        ('{"items": ' * 5000 + "{}" + "}" * 5000, "recursion"),
        ('{"const": "\ud800"}', "JSON"),
    ],
    ids=lambda value: value[:24].encode("ascii", "replace").decode(),
)
def test_a_schema_that_cannot_be_held_to_is_refused_with_the_reason__g3(
    start_yard: StartYard, schema: str, reason: str
) -> None:
    found = start_yard().run(ask("bad", json_schema=schema), ask("good", max_new_tokens=4))
    bad = found["bad"]
    assert isinstance(bad, Failed)
    assert (bad.kind, bad.code, bad.field) == (
        FailureKind.PERMANENT,
        "bad_json_schema",
        "sampling.json_schema",
    )
    assert reason in bad.message
    assert len(bad.message) < 600
    assert done(found["good"]).text


def test_a_worker_without_json_schemas_refuses_them_by_name__g3(start_yard: StartYard) -> None:
    outcome = start_yard(json_schemas=False).run(ask("a", json_schema="{}"))["a"]
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.field) == ("json_schema_unsupported", "sampling.json_schema")


def test_a_row_whose_grammar_fails_fails_alone__g3(
    start_yard: StartYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = start_yard()
    took = Grammar.took

    def wrong(self: Grammar, token: int) -> None:
        took(self, 300)  # no such token may ever follow

    alone = yard.run(ask("beside", max_new_tokens=12))["beside"]
    monkeypatch.setattr(Grammar, "took", wrong)
    found = yard.run(ask("held", json_schema=json.dumps(PERSON)), ask("beside", max_new_tokens=12))
    held = found["held"]
    assert isinstance(held, Failed)
    assert (held.kind, held.code) == (FailureKind.PERMANENT, "grammar_failed")
    assert held.field == "sampling.json_schema"
    assert done(found["beside"]).text == done(alone).text


def test_a_row_that_may_neither_end_nor_go_on_fails_with_the_reason__g3(
    start_yard: StartYard, tiny_model: Path
) -> None:
    """A stop token is held off by the least length, and the schema allows no other."""
    (brace,) = load_base_model(tiny_model).prompt_ids("{")
    found = start_yard().run(
        ask("a", json_schema='{"type": "object"}', min_new_tokens=3, stop_token_ids=(brace,))
    )
    failed = found["a"]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.field) == ("grammar_failed", "sampling.json_schema")
    assert "min_new_tokens" in failed.message


def test_a_schema_is_compiled_once_for_many_rows__c12(
    grammars: Grammars, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    make = Grammars._compile  # pyright: ignore[reportPrivateUsage]  # only its calls are counted

    def counted(self: Grammars, schema: str) -> Any:
        compiled.append(schema)
        return make(self, schema)

    monkeypatch.setattr(Grammars, "_compile", counted)
    one, other = '{"const": "once"}', '{"const": "twice"}'
    for schema in (one, other, one, one):
        grammars.grammar(schema)
    assert compiled == [one, other]


def test_each_row_is_at_a_place_of_its_own(grammars: Grammars) -> None:
    first, second = grammars.grammar('{"const": 1}'), grammars.grammar('{"const": 1}')
    mask = first.mask(torch.zeros(512))
    assert mask is not None
    (one,) = cast("list[int]", torch.isfinite(mask).nonzero()[:, 0].tolist())
    first.took(one)
    assert first.ended
    assert not second.ended


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(a|b|c{1,100}){1,1000}$"},
        {"enum": [f"value-{i}" * 3 for i in range(1500)]},
        {"type": "array", "items": {"type": "array", "items": {"type": "string"}, "maxItems": 10**9}},
        {"anyOf": [{"type": "object", "properties": {f"p{i}": {"type": "string"}}} for i in range(400)]},
    ],
    ids=["pattern", "enum", "numbers", "branches"],
)
def test_a_monstrous_schema_is_refused_or_compiled__g3(grammars: Grammars, schema: dict[str, Any]) -> None:
    with suppress(RequestRefusedError):
        grammars.grammar(json.dumps(schema))
    assert grammars.grammar("{}").failure() is None


@pytest.mark.parametrize(
    ("schema", "hint"),
    [
        ({"$ref": "#"}, "leads only to itself"),
        ({"allOf": [{"$ref": "#"}]}, "leads only to itself"),
        ({"type": "string", "pattern": "^(a{1000}){1000}$"}, "smaller bounds"),
        ({"type": "integer", "multipleOf": 982451653}, "smaller bounds"),
    ],
    ids=["itself", "all of itself", "pattern", "multiple"],
)
def test_a_schema_that_would_fail_at_its_first_tokens_is_refused_before__g3(
    start_yard: StartYard, schema: dict[str, Any], hint: str
) -> None:
    failed = start_yard().run(ask("a", json_schema=json.dumps(schema)))["a"]
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.code, failed.field) == (
        FailureKind.PERMANENT,
        "bad_json_schema",
        "sampling.json_schema",
    )
    assert hint in failed.message


def test_a_schema_that_is_refused_is_not_kept__g3(grammars: Grammars) -> None:
    schema = '{"$ref": "#"}'
    with pytest.raises(RequestRefusedError):
        grammars.grammar(schema)
    assert schema not in grammars._known  # pyright: ignore[reportPrivateUsage]  # what the test is about


def test_rows_that_use_up_a_lexer_cost_later_ones_nothing__c12(
    grammars: Grammars, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of one schema share its lexer's states, and a lexer at its limit fails every copy at once."""
    monkeypatch.setattr(
        "lorayard_workers.engine.grammar.LLParserLimits", partial(LLParserLimits, max_lexer_states=500)
    )
    schema = '{"type": "string", "maxLength": 20001}'
    first = grammars.grammar(schema)
    while tokens := allowed_by(first):
        first.took(tokens[-1])
    assert first.failure() is not None
    later = grammars.grammar(schema)
    assert later.mask(torch.zeros(512)) is not None
    assert later.failure() is None


def allowed_by(grammar: Grammar) -> list[int]:
    mask = grammar.mask(torch.zeros(512))
    return [] if mask is None else cast("list[int]", torch.isfinite(mask).nonzero()[:, 0].tolist())


def test_sound_schemas_of_programs_are_taken__c12(grammars: Grammars) -> None:
    """The limits refuse monsters, none of these."""
    text: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 8000}
    sound: list[dict[str, Any]] = [
        {"enum": [f"category {i * 7919 % 10007}" for i in range(2500)]},
        {"type": "object", "properties": {f"t{i}": text for i in range(30)}},
        {"type": "string", "pattern": r"^\p{L}[\p{L}\p{M}' -]{0,80}$"},
        {"type": "string", "pattern": r"^\p{Lu}\p{Ll}*( \p{L}+){0,40}$"},
        {"type": "string", "pattern": "^[A-Za-z0-9+/]{0,10000}={0,2}$"},
        {"type": "array", "items": {"type": "number"}, "minItems": 256, "maxItems": 256},
        {"type": "string", "format": "date-time"},
        {"type": "array", "items": {"$ref": "#"}},
    ]
    for schema in sound:
        assert grammars.grammar(json.dumps(schema)).mask(torch.zeros(512)) is not None
