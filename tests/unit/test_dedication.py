"""When an engine may change its weights, and who is served meanwhile."""

from __future__ import annotations

from lorayard_workers.engine.dedication import Dedication
from lorayard_workers.engine.outcome import FailureKind
from lorayard_workers.engine.request import Composition, GenerationRequest, WeightedAdapter

A = GenerationRequest(request_id="a", prompt="p", adapter="A")
B = GenerationRequest(request_id="b", prompt="p", adapter="B")
BASE = GenerationRequest(request_id="base", prompt="p")
SUM = GenerationRequest(
    request_id="sum",
    prompt="p",
    composition=Composition(
        parts=(WeightedAdapter(digest="A", weight=1.0), WeightedAdapter(digest="B", weight=1.0))
    ),
)
ALL = (A, B, BASE, SUM)


def refused(books: Dedication) -> list[str]:
    return [request.request_id for request in ALL if books.refuses(request)]


def startable(books: Dedication) -> list[str]:
    return [request.request_id for request in ALL if books.may_start(request) and not books.refuses(request)]


def dedicated(digest: str) -> Dedication:
    books = Dedication()
    books.want(digest, wish=0)
    assert books.made(digest)
    books.switched()
    return books


def test_an_engine_that_nobody_wants_serves_all__c10() -> None:
    assert refused(Dedication()) == []
    assert startable(Dedication()) == ["a", "b", "base", "sum"]


def test_while_the_merge_is_made_only_the_adapters_own_rows_start__c10() -> None:
    books = Dedication()
    books.want("A", wish=1)
    assert not books.switching
    assert (refused(books), startable(books)) == (["b", "base", "sum"], ["a"])
    assert not books.covers(A)  # through its slot


def test_once_it_is_made_nothing_starts_until_the_change__c10() -> None:
    books = Dedication()
    books.want("A", wish=1)
    assert books.made("A")
    assert books.switching
    assert startable(books) == []
    books.switched()
    assert (books.current, books.switching, startable(books)) == ("A", False, ["a"])
    assert [books.covers(request) for request in ALL] == [True, False, False, False]


def test_on_the_way_back_nobody_is_refused_and_nobody_starts__c10() -> None:
    books = dedicated("A")
    books.want(None, wish=3)
    assert books.switching
    assert (refused(books), startable(books)) == ([], [])
    books.switched()
    assert startable(books) == ["a", "b", "base", "sum"]


def test_from_one_adapter_to_another_no_row_runs_on_the_wrong_weights__c10() -> None:
    books = dedicated("A")
    books.want("B", wish=2)
    assert (refused(books), startable(books)) == (["a", "base", "sum"], [])
    assert books.made("B")
    books.switched()
    assert startable(books) == ["b"]


def test_a_merge_that_failed_or_nobody_wants_any_more_changes_nothing__c10() -> None:
    books = dedicated("A")
    books.want("B", wish=2)
    books.failed(2)
    assert (books.target, startable(books)) == ("A", ["a"])
    books.want("B", wish=3)
    books.want("A", wish=4)
    assert not books.made("B")
    books.failed(3)
    assert (books.target, books.switching, startable(books)) == ("A", False, ["a"])


def test_a_failure_answers_only_the_wish_it_was_for__c10() -> None:
    books = Dedication()
    books.want("A", wish=1)
    books.want(None, wish=2)
    books.want("A", wish=3)
    books.failed(1)
    assert books.target == "A"
    assert books.made("A")
    books.failed(3)  # there is a merge by now, whoever asked for it
    assert (books.target, books.switching) == ("A", True)


def test_a_refusal_may_be_tried_elsewhere_and_says_what_is_served__c10() -> None:
    found = dedicated("A").refusal(B)
    assert (found.kind, found.code, found.field) == (FailureKind.RETRYABLE, "worker_dedicated", "adapter")
    assert "adapter A" in found.message
