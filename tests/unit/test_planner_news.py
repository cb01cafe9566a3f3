"""In which order plans look at groups that something has come for."""

from __future__ import annotations

from random import Random

from lorayard_dispatcher.planning.news import News

GROUPS = [f"g{number:03}" for number in range(100)]


def test_the_order_in_which_they_came_between_two_plans_makes_no_difference() -> None:
    found: list[list[str]] = []
    for seed in range(3):
        news = News()
        news.update(Random(seed).sample(GROUPS, len(GROUPS)))
        found.append([*news.take(GROUPS, 10), *news.take(GROUPS, 10)])
    assert found[0] == found[1] == found[2]


def test_a_group_is_looked_at_in_its_turn_whatever_comes_after_it() -> None:
    news = News()
    news.update(GROUPS)
    waiting = [*GROUPS, "a newer one"]
    for turn in range(10):
        assert news.take(waiting, 10) == GROUPS[10 * turn : 10 * turn + 10]
        news.add("a newer one")
    assert news.take(waiting, 10) == ["a newer one"]


def test_groups_that_nothing_waits_for_any_more_take_nobodys_turn() -> None:
    news = News()
    news.update(GROUPS)
    assert news.take(GROUPS[90:], 5) == GROUPS[90:95]
    assert len(news) == 5
