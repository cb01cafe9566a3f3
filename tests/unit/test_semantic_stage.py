"""When the classifier is asked, what it may choose, and how often it reads a prompt (B1, B4, D7)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tests.unit.conftest import BASE_DIGEST

from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.codec import encode
from lorayard_schemas.job import EXCERPT_CHARACTERS, ChatTurn, Job, PayloadRef
from lorayard_schemas.routes import ORDER, RULES_KEY, RouteTable, Stage
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.prompt_excerpt import prompt_excerpt
from lorayard_shared.jobs.resolve import Kept, Rule
from lorayard_shared.jobs.semantic_book import GONE, Standing
from lorayard_shared.jobs.tracing import trace

SUMS, RHYMES = "acme/tiny/sums", "acme/tiny/rhymes"


@dataclass(frozen=True)
class Said:
    adapter: str | None
    confidence: float
    threshold: float = 0.62
    runner_up: str | None = None
    reason: str = ""
    nearest: str | None = None


@dataclass
class FirstWord:
    """Chooses the adapter whose task is the text's first word."""

    adapters: tuple[str, ...] = (SUMS, RHYMES, "base")
    read: list[str] = field(default_factory=list[str])

    def choose(self, text: str, allowed: Callable[[str], bool] | None = None) -> Said:
        self.read.append(text)
        if text == "stumble":
            raise ValueError("no such sign")
        found = next((one for one in self.adapters if one.endswith(text.split(" ")[0])), None)
        if found is not None and (allowed is None or allowed(found)):
            return Said(found, 0.9, runner_up=next(one for one in self.adapters if one != found))
        return Said(None, 0.41, reason="0.41 under 0.62")

    def embed(self, text: str) -> object:
        return text


def record(name: str, **given: object) -> AdapterRecord:
    fields: dict[str, object] = {
        "name": name,
        "version": "v1",
        "digest": "sha256:" + name.encode().hex()[-40:].rjust(40, "0"),
        "base_digest": BASE_DIGEST,
        "rank": 4,
        "alpha": 8.0,
        "targets": ("q_proj",),
        "size_bytes": 1,
        "state": AdapterState.ACTIVE,
        **given,
    }
    return AdapterRecord.model_validate(fields)


def directory(*records: AdapterRecord, default: str | None = None) -> tuple[Directory, FirstWord]:
    registry = AdapterRegistry()
    for one in records or (record(SUMS), record(RHYMES)):
        registry.on_change(one.key, encode(one))
    made, classifier = Directory(registry, default), FirstWord()
    made.semantic.put(Standing(classifier, revision=3))
    return made, classifier


def asked(prompt: str, *, job: str = "j", **given: object) -> Asked:
    fields: dict[str, object] = {"tenant": "t", "job": job, "body": encode(Job(id=job, prompt=prompt))}
    return Asked(**{**fields, **given})  # type: ignore[arg-type]


def test_the_meaning_of_a_prompt_chooses_where_nothing_before_it_does__b4__b1() -> None:
    book, _ = directory(default=RHYMES)
    found = book.resolve(asked("sums of all"))
    assert (found.record is not None and found.record.name, found.rule) == (SUMS, Rule.SEMANTIC)
    assert found.verdict is not None
    assert (found.verdict.adapter, found.verdict.confidence, found.verdict.revision) == (SUMS, 0.9, 3)


def test_an_abstention_is_told_and_what_comes_after_it_decides__b4__b1() -> None:
    book, _ = directory(default=RHYMES)
    found = book.resolve(asked("weather today"))
    assert (found.record is not None and found.record.name, found.rule) == (RHYMES, Rule.DEFAULT)
    assert found.verdict is not None
    assert found.verdict.told == "0.41 under 0.62"


def test_no_prompt_is_read_for_a_job_that_something_earlier_decides_on__b4() -> None:
    book, classifier = directory()
    kept = Kept(adapter=None)
    assert book.resolve(asked("sums", adapter=RHYMES)).verdict is None
    assert book.resolve(asked("sums", session="s"), kept).rule == Rule.SESSION
    assert classifier.read == []


def test_the_label_base_is_the_base_model__b4() -> None:
    book, _ = directory(default=RHYMES)
    found = book.resolve(asked("base"))
    assert (found.record, found.rule) == (None, Rule.SEMANTIC)


def test_what_a_tenant_may_not_use_is_neither_chosen_nor_named__b4__d7() -> None:
    book, _ = directory(record(SUMS, tenants=("gold",)), record(RHYMES))
    assert book.resolve(asked("sums", tenant="gold")).rule == Rule.SEMANTIC
    assert book.resolve(asked("sums")).rule == Rule.BASE
    chosen = book.resolve(asked("rhymes", job="k"))
    assert chosen.verdict is not None
    assert (chosen.verdict.adapter, chosen.verdict.runner_up) == (RHYMES, None)


def test_what_does_not_serve_is_not_chosen__b4() -> None:
    book, _ = directory(record(SUMS, state=AdapterState.ARCHIVED), record(RHYMES))
    assert book.resolve(asked("sums")).rule == Rule.BASE


def test_a_waiting_job_is_read_once_whatever_else_changes__b4() -> None:
    book, classifier = directory()
    for revision in range(1, 50):
        book.rules.on_change(RULES_KEY, encode(RouteTable(revision=revision)))
        other = record(f"acme/tiny/other{revision}")
        book.registry.on_change(other.key, encode(other))
        assert book.resolve(asked("sums")).rule == Rule.SEMANTIC
    assert classifier.read == ["sums"]
    assert (book.semantic.decided, len(book.semantic.costs_seconds)) == (1, 1)


def test_it_is_read_anew_when_the_classifier_changes__b4() -> None:
    book, classifier = directory()
    book.resolve(asked("sums"))
    before = book.changes
    book.semantic.put(Standing(classifier, revision=4))
    assert book.changes > before
    found = book.resolve(asked("sums"))
    assert found.verdict is not None
    assert (found.verdict.revision, len(classifier.read)) == (4, 2)


def test_a_waiting_job_is_not_read_again_when_what_may_be_chosen_changes__b4__d7() -> None:
    """Ten thousand of them would block the loop for seconds."""
    book, classifier = directory(default=RHYMES)
    for change in ({"state": AdapterState.ARCHIVED}, {"tenants": ("gold",)}):
        assert book.resolve(asked("sums")).rule == Rule.SEMANTIC
        changed = record(SUMS, **change)
        book.registry.on_change(changed.key, encode(changed))
        found = book.resolve(asked("sums"))
        assert (found.rule, found.verdict is not None and found.verdict.told) == (Rule.DEFAULT, GONE)
        book.registry.on_change(changed.key, encode(record(SUMS)))
    hidden = record(RHYMES, tenants=("gold",))
    book.registry.on_change(hidden.key, encode(hidden))
    verdict = book.resolve(asked("sums")).verdict
    assert verdict is not None
    assert (verdict.adapter, verdict.runner_up) == (SUMS, None)
    assert classifier.read == ["sums"]


def test_the_same_classifier_under_another_revision_tells_that_one__b4() -> None:
    book, classifier = directory()
    book.resolve(asked("sums"))
    assert book.semantic.standing is not None
    book.semantic.put(book.semantic.standing.under(7))
    verdict = book.resolve(asked("sums")).verdict
    assert verdict is not None
    assert (verdict.revision, classifier.read) == (7, ["sums"])


def test_a_name_that_many_tenants_may_choose_is_looked_up_once_for_all_of_them__d7() -> None:
    book, _ = directory(record(SUMS, tenants=("a", "b")), record(RHYMES, tenants=("c",)))
    may = book.may_choose((SUMS, RHYMES, "base"))
    assert may.to("a") == {SUMS, "base"}
    assert may.to("a") is may.to("b")
    assert may.to("c") == {RHYMES, "base"}
    assert may.to("x") == {"base"}
    assert may.to("x") is may.to("y")


def test_a_classifier_that_cannot_be_had_abstains_and_says_why__b4() -> None:
    book, _ = directory()
    book.semantic.put(None, "install numpy")
    found = book.resolve(asked("sums"))
    assert (found.rule, found.verdict is not None and found.verdict.told) == (Rule.BASE, "install numpy")
    book.semantic.put(None)
    assert book.resolve(asked("sums")).verdict is None


def test_a_prompt_is_judged_by_its_ends_as_its_message_has_them__b4() -> None:
    turns = tuple(
        ChatTurn(role=role, content=text)
        for role, text in (("system", "be"), ("user", "old"), ("assistant", "a"), ("user", "new"))
    )
    ref = PayloadRef(key="k", sha256="0" * 64, size_bytes=1, excerpt="it begins")
    long = "a" * 1500 + "b" * 9000 + "c" * 500
    assert prompt_excerpt(encode(Job(id="j", prompt=long))) == "a" * 1500 + " " + "c" * 500
    assert len(prompt_excerpt(encode(Job(id="j", prompt="x" * 9999)))) == EXCERPT_CHARACTERS
    assert prompt_excerpt(encode(Job(id="j", messages=turns))) == "new\nold"
    assert prompt_excerpt(encode(Job(id="j", prompt_ref=ref))) == "it begins"
    assert prompt_excerpt(b"\xff") == ""
    said = [{"role": "user", "content": "a"}, 7, {"role": "user"}, {"role": "user", "content": "b"}]
    chat = json.dumps({"id": "j", "messages": said}).encode()
    assert prompt_excerpt(chat) == "b\na", "a turn that is none costs the others nothing"


def test_without_an_excerpt_of_a_prompt_kept_elsewhere_it_abstains__b4() -> None:
    book, classifier = directory()
    ref = PayloadRef(key="k", sha256="0" * 64, size_bytes=1)
    found = book.resolve(asked("", body=encode(Job(id="j", prompt_ref=ref))))
    assert found.verdict is not None
    assert "not in the message" in found.verdict.told
    assert classifier.read == []


def test_a_table_of_a_time_before_the_stage_has_it_before_the_default__b4() -> None:
    old = [stage for stage in ORDER if stage is not Stage.SEMANTIC]
    assert RouteTable(order=tuple(old)).order == ORDER
    early = ("explicit", "semantic", "tenant", "task", "metadata", "session", "default")
    assert RouteTable.model_validate({"order": early}).order == tuple(map(Stage, early))
    with pytest.raises(ValueError, match="name each of these once"):
        RouteTable.model_validate({"order": (*early, "semantic")})


def test_where_the_stage_stands_is_when_it_is_asked__b4__b2() -> None:
    book, _ = directory(default=RHYMES)
    late = ("explicit", "tenant", "task", "metadata", "session", "default", "semantic")
    book.rules.put(RouteTable.model_validate({"order": late}))
    assert book.resolve(asked("sums")).rule == Rule.DEFAULT


def test_a_trace_names_what_was_meant__b4__b1() -> None:
    book, _ = directory(default=RHYMES)
    chosen = trace(book, asked("sums"), None).steps[-1]
    assert (chosen.what, chosen.decides) == ("semantic", True)
    assert chosen.why == f"{SUMS} at 0.90, 0.62 is enough"
    semantic, default = trace(book, asked("weather", job="k"), None).steps[-2:]
    assert (semantic.decides, semantic.why) == (False, "it abstains: 0.41 under 0.62")
    assert default.decides


def test_a_prompt_that_the_classifier_stumbles_on_costs_its_job_the_verdict_only__b4() -> None:
    book, classifier = directory(default=RHYMES)
    found = book.resolve(asked("stumble"))
    assert (found.rule, found.verdict is not None and found.verdict.told) == (
        Rule.DEFAULT,
        "the prompt cannot be judged (no such sign)",
    )
    book.resolve(asked("stumble"))
    assert classifier.read == ["stumble"]


def test_a_job_whose_message_is_not_kept_keeps_what_its_prompt_meant__b4() -> None:
    book, classifier = directory(default=RHYMES)
    said = book.resolve(asked("sums")).verdict
    book.semantic.put(Standing(classifier, revision=4))
    again = book.resolve(asked("", body=None, meant=said))
    assert (again.rule, again.verdict, classifier.read) == (Rule.SEMANTIC, said, ["sums"])
    gone = record(SUMS, state=AdapterState.ARCHIVED)
    book.registry.on_change(gone.key, encode(gone))
    assert book.resolve(asked("", body=None, meant=said)).rule == Rule.DEFAULT
    assert book.resolve(asked("rhymes")).rule == Rule.SEMANTIC, (
        "with its message it is read, whatever was asked"
    )
