"""Who shows a yard asks dispatchers each second: that costs the same however many ask (F3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorayard_dispatcher.parked_groups import MOST_GROUPS, in_groups
from lorayard_dispatcher.shared_status import SHARED_SECONDS, SharedStatus
from lorayard_schemas.codec import decode
from lorayard_schemas.status import OTHERS, DispatcherStatus


@dataclass
class Asked:
    """A dispatcher whose status counts how often it was made."""

    now: float = 100.0
    made: int = 0
    faults: tuple[str, ...] = ()
    shared: SharedStatus = field(init=False)

    def __post_init__(self) -> None:
        self.shared = SharedStatus(self._make, lambda: self.faults, clock=lambda: self.now)

    def _make(self) -> DispatcherStatus:
        self.made += 1
        return DispatcherStatus(dispatcher="d1", started_at=0.0, taken=self.made)

    def told(self, at: float) -> DispatcherStatus:
        self.now = 100.0 + at
        return decode(DispatcherStatus, self.shared.told())


def test_all_who_ask_within_a_second_share_one_status__f3() -> None:
    asked = Asked()
    assert [asked.told(at).taken for at in (0.0, 0.1, 0.5, SHARED_SECONDS - 0.01)] == [1] * 4
    assert asked.made == 1


def test_a_page_that_looks_each_second_sees_a_new_one_each_time() -> None:
    asked = Asked()
    assert [asked.told(at).taken for at in (0.0, 1.0, 2.0)] == [1, 2, 3]


def test_what_it_is_deaf_to_is_told_at_once_and_so_is_the_end_of_it__f4() -> None:
    asked = Asked()
    asked.told(0.0)
    asked.faults = ("it does not hear",)
    assert asked.told(0.1).faults == ("it does not hear",)
    assert asked.told(0.2).taken == 2, "while that stays it is shared again"
    asked.faults = ()
    assert asked.told(0.3).faults == ()


def test_of_many_adapters_the_longest_waiting_are_told_and_the_others_are_summed_up() -> None:
    many = MOST_GROUPS + 5
    counts = {f"a{number:05}": 2 for number in range(many)}
    waited = {name: float(number) for number, name in enumerate(counts)}
    groups = in_groups(counts, waited, {}, dict.fromkeys(counts, "acme"))
    assert len(groups) == MOST_GROUPS + 1
    assert sum(group.jobs for group in groups) == 2 * many
    others = groups[-1]
    assert (others.adapter, others.jobs, others.oldest_seconds) == (OTHERS, 10, 4.0)
    assert groups[0].adapter == "a00005", "by name"
