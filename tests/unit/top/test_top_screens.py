"""The screens of `lorayard top`, drawn in a terminal of 80 by 24 (F3).

Compared with the pictures in `snapshots/`; run with LORAYARD_SNAPSHOTS=write to draw those anew, and look at
them. (pytest-textual-snapshot does this too, but holds back pytest.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.unit.top import scenery, scenery_lists
from textual.pilot import Pilot

from lorayard_cli.top.app import Top
from lorayard_cli.top.dialogs import Confirm, Story
from lorayard_cli.top.picture import Tab
from lorayard_shared.errors import BusUnavailableError

WaitUntil = Callable[..., Awaitable[None]]

SNAPSHOTS = Path(__file__).parent / "snapshots"
PAGE = Path(__file__).parents[3] / "docs/images/top-overview.svg"
"""The page on operations shows it."""
YARD = "yard at nats://127.0.0.1:4222"


class Clock:
    """Stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def still(**given: object) -> scenery.Still:
    return scenery.Still(
        now=scenery.snapshot(**given), listed=scenery_lists.jobs(), dead=scenery_lists.letters()
    )


def top(feed: scenery.Still, clock: Clock | None = None, *, read_only: bool = True) -> Top:
    app = Top(feed, None, yard=YARD, read_only=read_only, interval_seconds=30.0, clock=clock or Clock())
    curves = app.board.looking.history
    for number in range(150):
        overview = scenery.overview(
            jobs_per_second=18.0 + number % 9,
            tokens_per_second=900.0 + 3 * number,
            loads_per_second=0.1 * (number % 6),
            hit_rate=0.9 + 0.001 * (number % 60),
            unfinished=80 * number,
        )
        seen = scenery.snapshot(at=scenery.NOW - 302 + 2 * number, overview=overview)
        curves.add(seen)
    return app


def text_of(app: Top) -> str:
    """What stands on the screen."""
    lines = app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]  # textual has no other way
    return "\n".join(strip.text for strip in lines)


async def shown(pilot: Pilot[None], feed: scenery.Still, wait_until: WaitUntil) -> None:
    await wait_until(lambda: feed.looks > 0)
    await pilot.pause()


def compare(app: Top, kept: Path) -> None:
    # Without the fonts that textual would fetch: a picture that is looked at asks nobody for anything.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", app.export_screenshot(), flags=re.DOTALL)
    drawn = "\n".join(line.rstrip() for line in drawn.split("\n"))
    if os.environ.get("LORAYARD_SNAPSHOTS") == "write":
        SNAPSHOTS.mkdir(exist_ok=True)
        kept.write_text(drawn, encoding="utf-8")
    assert drawn == kept.read_text(encoding="utf-8"), f"{kept} has another picture"


@pytest.mark.parametrize("tab", Tab)
async def test_every_tab_looks_as_it_should_at_80_by_24__f3(tab: Tab, wait_until: WaitUntil) -> None:
    feed = still()
    app = top(feed, read_only=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await pilot.press(str(list(Tab).index(tab) + 1))
        await wait_until(lambda: "1 of" in text_of(app))
        await pilot.pause()
        compare(app, PAGE if tab is Tab.OVERVIEW else SNAPSHOTS / f"{tab}.svg")


async def test_a_larger_terminal_shows_more_columns__f3(wait_until: WaitUntil) -> None:
    feed = still()
    app = top(feed, read_only=False)
    async with app.run_test(size=(140, 40)) as pilot:
        await shown(pilot, feed, wait_until)
        await pilot.press("3")
        await wait_until(lambda: "stable 100%" in text_of(app))
        assert "4 workers 4" in text_of(app)
        await pilot.press("1")
        await pilot.pause()
        compare(app, SNAPSHOTS / "overview-140x40.svg")


async def test_what_strangers_wrote_moves_no_cursor__g3(wait_until: WaitUntil) -> None:
    trouble = scenery.TROUBLES[0].model_copy(update={"text": "evil \x1b[2J\x07[red]markup[/] \u202e"})
    pause = scenery.PAUSES[0].model_copy(update={"why": "[bold]x\x1b]0;title\x07"})
    feed = still(troubles=(trouble,), pauses=(pause,))
    app = top(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await wait_until(lambda: "[red]markup[/]" in text_of(app))
        assert "\x1b" not in text_of(app)
        await pilot.press("enter")
        await wait_until(lambda: isinstance(app.screen, Story))
        assert "\x1b" not in text_of(app)


async def test_a_bus_that_is_away_leaves_the_last_picture_marked_as_old_and_it_comes_back__f3(
    wait_until: WaitUntil,
) -> None:
    feed, clock = still(), Clock()
    app = top(feed, clock)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await pilot.press("4")
        feed.error = BusUnavailableError(url="nats://127.0.0.1:4222", reason="refused")
        clock.now = 75.0
        app.board.look_now()
        await wait_until(lambda: "OLD: as of 1m15 ago" in text_of(app))
        assert "gpu-node-17-a" in text_of(app)
        assert "trying again" in text_of(app)
        feed.error = None
        app.board.look_now()
        await wait_until(lambda: "every 30 s" in text_of(app))
        assert "trying again" not in text_of(app)


async def test_a_yard_that_never_answered_says_why(wait_until: WaitUntil) -> None:
    feed = still()
    feed.error = BusUnavailableError(url="nats://127.0.0.1:4222", reason="refused")
    app = top(feed)
    async with app.run_test(size=(80, 24)):
        await wait_until(lambda: "NO ANSWER YET" in text_of(app))
        assert "refused" in text_of(app)


async def test_a_fault_of_ours_is_one_line_and_the_screen_lives_on(wait_until: WaitUntil) -> None:
    feed = still()
    app = top(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        feed.error = ZeroDivisionError("nobody thought of it")
        app.board.look_now()
        await wait_until(lambda: "unexpected ZeroDivisionError" in text_of(app))
        feed.error = None
        app.board.look_now()
        await wait_until(lambda: "unexpected" not in text_of(app))


async def test_a_filter_follows_what_is_written_stays_and_goes_with_escape(wait_until: WaitUntil) -> None:
    feed = still()
    app = top(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await pilot.press("3", "slash", *"titles")
        await wait_until(lambda: "1 of 2" in text_of(app))
        await pilot.press("enter", "down")
        await wait_until(lambda: "2 of 2" in text_of(app))
        assert "filter titles" in text_of(app)
        await pilot.press("slash", *"zzz", "enter")
        await wait_until(lambda: "Nothing here fits the filter" in text_of(app))
        await pilot.press("escape")
        await wait_until(lambda: "of 16" in text_of(app))


async def test_rows_are_sorted_by_any_column_either_way_and_the_cursor_stays_on_its_row(
    wait_until: WaitUntil,
) -> None:
    feed = still()
    app = top(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await pilot.press("2", "down")
        await wait_until(lambda: app.board.grid.chosen is not None)
        held = app.board.grid.chosen
        assert held is not None
        await pilot.press("less_than_sign")
        await wait_until(lambda: "▲adapter" in text_of(app) or "adapter▲" in text_of(app))
        await pilot.press("v")
        await wait_until(lambda: "adapter▼" in text_of(app))
        chosen = app.board.grid.chosen
        assert chosen is not None
        assert chosen.key == held.key


async def test_a_held_picture_does_not_change_until_it_goes_on(wait_until: WaitUntil) -> None:
    feed = still()
    app = top(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await pilot.press("space")
        await wait_until(lambda: "PAUSED at 16:00:00 UTC" in text_of(app))
        feed.now = scenery.snapshot(at=scenery.NOW + 60, sequence=2)
        await pilot.pause(0.1)
        assert "PAUSED at 16:00:00 UTC" in text_of(app)
        await pilot.press("space")
        await wait_until(lambda: "16:01:00 UTC" in text_of(app))


async def test_read_only_offers_and_does_nothing(wait_until: WaitUntil) -> None:
    feed = still()
    app = top(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await pilot.press("2")
        assert "pause" not in text_of(app)
        await pilot.press("P")
        await wait_until(lambda: "read-only" in text_of(app))
        assert not isinstance(app.screen, Confirm)


async def test_a_job_is_explained_and_a_letter_told_in_full(wait_until: WaitUntil) -> None:
    feed = still()
    app = top(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await pilot.press("5")
        await wait_until(lambda: "1 of 8" in text_of(app))
        await pilot.press("enter")
        await wait_until(lambda: "every row of w1 and w2 is taken" in text_of(app))
        await pilot.press("escape", "6")
        await wait_until(lambda: "1 of 3" in text_of(app))
        await pilot.press("end", "enter")
        await wait_until(lambda: "attempt 3 at w1" in text_of(app))


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (300, 90)])
async def test_no_size_of_a_terminal_ends_it(size: tuple[int, int], wait_until: WaitUntil) -> None:
    feed = still()
    app = top(feed)
    async with app.run_test(size=size) as pilot:
        await shown(pilot, feed, wait_until)
        for key in ("2", "3", "4", "5", "6", "7", "question_mark", "escape", "1", "end", "pagedown", "home"):
            await pilot.press(key)
        await pilot.resize_terminal(30, 8)
        await pilot.pause()
        assert app.is_running


async def test_without_colour_nothing_but_bold_dim_and_reversed_is_drawn(
    monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    feed = still()
    app = top(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await wait_until(lambda: "CRITICAL" in text_of(app))
        strips = app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
        styles = {segment.style for strip in strips for segment in strip if segment.style is not None}
        used = {
            colour.name for style in styles for colour in (style.color, style.bgcolor) if colour is not None
        }
        assert used <= {"default"}
        assert any(style.reverse for style in styles)


async def test_of_many_letters_the_newest_are_listed_and_all_counted__f3(wait_until: WaitUntil) -> None:
    feed = still(overview=scenery.overview(dead_letters=5_000))
    app = top(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, feed, wait_until)
        await pilot.press("6")
        await wait_until(lambda: "the newest of 5,000" in text_of(app))
