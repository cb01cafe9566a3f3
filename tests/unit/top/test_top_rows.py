"""What `lorayard top` shows is a function of what was read (F3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from tests.unit.top import scenery, scenery_lists

from lorayard_cli.top.amounts import age, count, milliseconds, rate
from lorayard_cli.top.columns import GAP, fit, fitted
from lorayard_cli.top.header import Freshness, header_line, key_line, place_of, tab_line
from lorayard_cli.top.help import help_text
from lorayard_cli.top.history import CURVES, KEPT_SECONDS, History, spark
from lorayard_cli.top.overview import overview_text, trouble_lines
from lorayard_cli.top.picture import Picture, Tab
from lorayard_cli.top.row import Mark, View
from lorayard_cli.top.sheets.queues import queue_detail, queue_rows
from lorayard_cli.top.sheets.workers import worker_rows
from lorayard_cli.top.tabs import CONTENTS
from lorayard_shared.settings import YardSettings

PICTURE = Picture(snapshot=scenery.snapshot(), jobs=scenery_lists.jobs(), letters=scenery_lists.letters())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0s"), (59.4, "59s"), (59.6, "1m00"), (192, "3m12"), (7500, "2h05"), (400_000, "4d")],
)
def test_an_age_has_five_characters_at_most(seconds: float | None, text: str) -> None:
    assert age(seconds) == text


def test_numbers_keep_to_their_columns() -> None:
    assert [count(number) for number in (0, 1234, 99_999, 123_456, 12_345_678)] == [
        "0",
        "1,234",
        "99,999",
        "123k",
        "12.3M",
    ]
    assert [rate(each) for each in (None, 0.25, 99.9, 1234.5)] == ["-", "0.2", "99.9", "1,234"]
    assert [milliseconds(each) for each in (12.4, 999.6, 61_000)] == ["12ms", "1.0s", "61.0s"]


@given(st.text(), st.integers(min_value=0, max_value=40), st.booleans(), st.booleans())
def test_any_text_fills_just_its_column__g3(text: str, width: int, right: bool, keeps_end: bool) -> None:
    shown = fit(text, width, right=right, keeps_end=keeps_end)
    assert cell_len(shown) == width
    assert shown.isprintable()


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
@pytest.mark.parametrize("tab", Tab)
def test_columns_fit_the_terminal_and_take_no_more_than_they_need(tab: Tab, width: int) -> None:
    columns = CONTENTS[tab].sheet.columns
    longest = [30] * len(columns)
    shown = fitted(columns, width, longest)
    assert sum(each for _, each in shown) + GAP * (len(shown) - 1) <= max(width, 80)
    assert all(each <= max(columns[place].width, 30) for place, each in shown)
    assert all(columns[place].rank == 0 or width >= 80 for place, _ in shown)


@pytest.mark.parametrize("tab", Tab)
def test_every_row_has_a_cell_and_an_order_for_each_column(tab: Tab) -> None:
    content = CONTENTS[tab]
    rows = content.rows(PICTURE)
    assert rows
    assert len({row.key for row in rows}) == len(rows)
    for row in rows:
        assert len(row.cells) == len(row.order) == len(content.sheet.columns)
        assert len(content.detail(row.about, PICTURE).split("\n")) <= 3
    for place in range(len(content.sheet.columns)):
        View(sorted_by=place, descending=True).of(rows)


@pytest.mark.parametrize("tab", Tab)
def test_a_yard_with_nothing_in_it_says_what_that_means(tab: Tab) -> None:
    nothing = Picture(snapshot=scenery.empty())
    assert CONTENTS[tab].rows(nothing) == []
    assert CONTENTS[tab].sheet.empty.endswith(".")


def test_a_filter_wants_all_its_words_and_none_with_a_minus() -> None:
    rows = queue_rows(scenery.snapshot())

    def keys(words: str) -> list[str]:
        return [row.about.tenant for row in View(sorted_by=3, descending=True, filter=words).of(rows)]

    assert keys("") == ["initech", "acme", "globex", "globex", "acme", "initech"]
    assert keys("INITECH") == ["initech", "initech"]
    assert keys("initech -base -") == ["initech"]
    assert keys("initech acme") == []


def test_rows_alike_keep_their_order_in_every_reading() -> None:
    rows = CONTENTS[Tab.ADAPTERS].rows(PICTURE)
    view = View(sorted_by=2, descending=True)
    assert [row.key for row in view.of(rows)] == [row.key for row in view.of(rows[::-1])]


def test_a_queue_says_what_its_jobs_wait_for() -> None:
    shown = scenery.snapshot()
    by_name = {row.about.adapter: row for row in queue_rows(shown)}
    told = by_name["initech/gemma3-270m/translate-de"]
    assert (told.cells[-1], told.mark) == ("no files", Mark.WARNING)
    assert "No worker that lives has its files." in queue_detail(told.about, shown)
    assert "They run" in queue_detail(by_name["base"].about, shown).replace("they", "They")


def test_workers_that_are_gone_silent_or_held_say_so_in_a_word() -> None:
    rows = {row.key: row for row in worker_rows(scenery.snapshot())}
    assert {key: row.cells[1] for key, row in rows.items()} == {
        "w1": "serves",
        "w2": "serves",
        "w3": "LOST",
        "gpu-node-17-a": "draining",
    }
    assert rows["w3"].mark is Mark.CRITICAL
    shown = scenery.snapshot()
    late = shown.workers[0].model_copy(update={"silent": True, "age_seconds": 2.1})
    (row,) = worker_rows(shown.model_copy(update={"workers": (late,)}))
    assert (row.cells[1], row.mark) == ("SILENT", Mark.WARNING)


def test_troubles_stand_on_top_with_their_mends_and_leave_room_for_the_rest() -> None:
    text = overview_text(scenery.snapshot(), History(), 80, 16).plain.split("\n")
    assert len(text) <= 16
    assert all(len(line) <= 80 for line in text)
    assert text[0].startswith("CRITICAL: Worker w3")
    assert any("mend: lorayard workers show w3" in line for line in text)
    assert any(line.startswith("hit rate") and "96%" in line for line in text)
    cut = trouble_lines(scenery.TROUBLES * 5, 80, 6)
    assert len(cut) <= 6
    assert cut[-1].plain == "and 9 more: Enter shows all"


def test_curves_show_the_last_minutes_and_forget_the_rest() -> None:
    history, shown = History(), scenery.snapshot()
    for number in range(400):
        overview = scenery.overview(jobs_per_second=float(number))
        history.add(shown.model_copy(update={"at": scenery.NOW + number, "overview": overview}))
    points = history.points(CURVES[0], 10)
    assert points[-1] == pytest.approx(384.5, abs=1.0)
    assert min(point for point in points if point is not None) >= 399 - KEPT_SECONDS
    history.add(shown)  # a clock that was set back
    assert history.points(CURVES[0], 10) == points


def test_a_curve_is_as_high_as_its_values_and_blank_where_nothing_was_seen() -> None:
    assert spark([None, 0.0, 5.0, 10.0]) == " ▁▄▇"
    assert spark([0.0, 0.0]) == "▁▁"
    assert spark([None]) == " "


def fresh(**given: object) -> Freshness:
    values: dict[str, object] = {"at": scenery.NOW, "heard_seconds": 1.0, "interval_seconds": 2.0, **given}
    return Freshness(**values)  # type: ignore[arg-type]  # of the right kinds, one by one


def test_an_old_picture_says_so() -> None:
    assert not fresh().old
    assert fresh(trouble="no bus").old
    assert fresh(heard_seconds=8.0).old
    assert not fresh(heard_seconds=800.0, paused=True).old
    assert "OLD: as of 12s ago" in header_line("yard", fresh(heard_seconds=12.0, trouble="x"), 80).plain
    assert "PAUSED at 16:00:00 UTC" in header_line("yard", fresh(paused=True), 80).plain
    assert len(header_line("a yard with a long name " * 9, fresh(), 80).plain) == 80


def test_the_header_names_the_bus_and_no_login__g4() -> None:
    place = place_of(YardSettings(url="nats://me:secret@bus:4222"))
    assert ("bus:4222" in place, "secret" in place, "me" in place) == (True, False, False)


def test_tabs_and_keys_fit_eighty_columns_and_the_shown_tab_needs_no_colour() -> None:
    line = tab_line(Tab.BATCHES, {}, 80).plain
    assert "[7 batches]" in line
    assert "1 overview" in line
    assert len(tab_line(Tab.QUEUES, {Tab.QUEUES: 100_000, Tab.DEAD: 100_000}, 80).plain) <= 80
    assert "2 queues 12" in tab_line(Tab.OVERVIEW, {Tab.QUEUES: 12}, 140).plain
    assert len(key_line([("P", "pause")] * 40, 80).plain) <= 80


@pytest.mark.parametrize("tab", Tab)
def test_the_help_has_every_key_of_its_tab_and_dangerous_ones_are_uppercase(tab: Tab) -> None:
    told = help_text(tab, read_only=False)
    for action in CONTENTS[tab].actions:
        assert f"  {action.key} " in told
    words = {action.word for action in CONTENTS[tab].actions if action.dangerous}
    assert words <= {"pause", "drain", "strike", "cancel", "promote", "rollback", "redrive all"}
    keys = [action.key for action in CONTENTS[tab].actions]
    assert len(set(keys)) == len(keys)
    assert "nothing can be changed" in help_text(tab, read_only=True)
