"""The one screen: header, tabs, a table, the chosen row in words, and the keys."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input, Static

from lorayard_cli.failures import explain
from lorayard_cli.top.actions.action import Action, NothingToDo, Plan, Situation
from lorayard_cli.top.columns import clean, fitted
from lorayard_cli.top.dialogs import Choose, Confirm, Story
from lorayard_cli.top.grid import Grid, sorted_next
from lorayard_cli.top.header import header_line, key_line, tab_line
from lorayard_cli.top.help import help_text
from lorayard_cli.top.looking import Looking
from lorayard_cli.top.overview import overview_text, trouble_lines
from lorayard_cli.top.picture import Tab
from lorayard_cli.top.row import Row, View
from lorayard_cli.top.sheets.dead import dead_story
from lorayard_cli.top.tabs import CONTENTS, counts
from lorayard_cli.top.tenants import TenantClients

TICK_SECONDS = 1.0
"""How often the age of the picture is told anew."""

AROUND_OVERVIEW = 8
"""Lines: header, tabs, four of what is held, status, keys."""

_FIRST_KEYS = (("?", "help"),)
_LAST_KEYS = (("/", "filter"), ("Enter", "look"), ("<>", "sort"), ("Space", "hold"), ("q", "quit"))


class Board(Screen[None]):
    """Shows what `Looking` has, and does what keys say."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"tab('{tab}')", show=False) for number, tab in enumerate(Tab, start=1)),
        Binding("tab", "next_tab(1)", show=False, priority=True),
        Binding("shift+tab", "next_tab(-1)", show=False, priority=True),
        Binding("enter", "closer", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "back", show=False),
        Binding("less_than_sign", "sort(-1)", show=False),
        Binding("greater_than_sign", "sort(1)", show=False),
        Binding("v", "reverse", show=False),
        Binding("space", "hold", show=False),
        Binding("plus", "slower(1)", show=False),
        Binding("minus", "slower(-1)", show=False),
        Binding("question_mark", "help", show=False),
        Binding("q", "app.quit", show=False),
    ]

    def __init__(
        self, looking: Looking, clients: TenantClients | None, *, yard: str, read_only: bool
    ) -> None:
        super().__init__()
        self.looking = looking
        self._clients = clients
        self._yard = yard
        self._read_only = read_only
        self._tab = Tab.OVERVIEW
        self._views = {
            tab: View(sorted_by=content.sheet.sorted_by, descending=content.sheet.descending)
            for tab, content in CONTENTS.items()
        }
        self._said = Text()
        self._asked = asyncio.Event()
        self._busy = ""

    # ---- what is there

    def compose(self) -> ComposeResult:
        """Every tab's table, of which one is shown."""
        yield Static(id="header")
        yield Static(id="tabs")
        yield Static(id="overview")
        for tab, content in CONTENTS.items():
            yield Grid(content.sheet, id=f"grid-{tab}")
        yield Static(id="detail")
        yield Input(id="filter", compact=True, placeholder="words that must be there, -word that must not")
        yield Static(id="status")
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Begin to look."""
        self.query_one("#filter").display = False
        self._switch(Tab.OVERVIEW)
        self.set_interval(TICK_SECONDS, self._show_header)
        self.run_worker(self._look_on(), name="look", group="look")

    @property
    def grid(self) -> Grid:
        """The table that is shown."""
        return self.query_one(f"#grid-{self._tab}", Grid)

    @property
    def tab(self) -> Tab:
        """The tab that is shown."""
        return self._tab

    # ---- looking

    async def _look_on(self) -> None:
        while True:
            if not self.looking.paused:
                await self.looking.look(self._tab)
                self.show()
            await self._wait()

    async def _wait(self) -> None:
        """Until it is time, or somebody wants to see it now."""
        try:
            async with asyncio.timeout(None if self.looking.paused else self.looking.interval_seconds):
                await self._asked.wait()
        except TimeoutError:
            pass
        self._asked.clear()

    def look_now(self) -> None:
        """Read the yard without waiting for its time."""
        self._asked.set()

    # ---- showing

    def show(self) -> None:
        """Draw what has changed."""
        if not self.query("#header"):
            return  # it closes: a look that was under way has come in behind that
        self._show_header()
        picture, width = self.looking.picture, self.size.width
        counted = counts(picture) if picture is not None else {}
        self.query_one("#tabs", Static).update(tab_line(self._tab, counted, width))
        if picture is None:
            self.query_one("#overview", Static).update(self._nothing_yet())
            self._show_status()
            return
        if self._tab is Tab.OVERVIEW:
            height = max(8, self.size.height - AROUND_OVERVIEW)
            text = overview_text(picture.snapshot, self.looking.history, width, height)
            self.query_one("#overview", Static).update(text)
        known = CONTENTS[self._tab].known(picture)
        self.grid.tell(self._rows(), self._views[self._tab], known=known)

    def _nothing_yet(self) -> Text:
        trouble = self.looking.fresh.trouble
        return Text(clean(trouble) or "Asking for the yard ...", style="bold red" if trouble else "")

    def _rows(self) -> list[Row[Any]]:
        picture = self.looking.picture
        if picture is None:
            return []
        return self._views[self._tab].of(CONTENTS[self._tab].rows(picture))

    def _show_header(self) -> None:
        line = header_line(self._yard, self.looking.fresh, self.size.width)
        for header in self.query("#header").results(Static):  # none any more where it closes
            header.update(line)

    def on_grid_moved(self, _event: Grid.Moved) -> None:
        """Another row is chosen."""
        picture, chosen = self.looking.picture, self.grid.chosen
        told = ""
        if picture is not None and chosen is not None:
            told = CONTENTS[self._tab].detail(chosen.about, picture)
        lines = "\n".join(clean(line) for line in told.split("\n"))
        self.query_one("#detail", Static).update(Text(lines))
        self._show_status()

    def _show_status(self) -> None:
        view, trouble = self._views[self._tab], self.looking.fresh.trouble
        filtered = f"filter {view.filter}" if view.filter else ""
        parts = [part for part in (self.grid.place, self.looking.scope(self._tab), filtered) if part]
        line = Text(clean(" · ".join(parts)), style="dim")
        if trouble and self.looking.picture is not None:
            line = Text(f"trying again: {clean(trouble)}", style="bold red")
        elif self._said.plain:
            line.append("  " if parts else "")
            line.append_text(self._said)
        self.query_one("#status", Static).update(line)

    def say(self, text: str, *, style: str = "") -> None:
        """A line for people."""
        self._said = Text(clean(text), style=style)
        self._show_status()

    def on_resize(self, _event: events.Resize) -> None:
        """Another size has other columns."""
        if self.is_mounted:
            self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        self._show_keys()
        self.show()

    # ---- tabs, filter, order

    def action_tab(self, tab: str) -> None:
        """Show a tab."""
        self._switch(Tab(tab))

    def action_next_tab(self, step: int) -> None:
        """The next one, or the one before."""
        tabs = list(Tab)
        self._switch(tabs[(tabs.index(self._tab) + step) % len(tabs)])

    def _switch(self, tab: Tab) -> None:
        self._tab, self._said = tab, Text()
        for each in Tab:
            self.query_one(f"#grid-{each}").display = each is tab
        self.query_one("#overview").display = tab is Tab.OVERVIEW
        detail = self.query_one("#detail", Static)
        detail.update("")
        detail.display = tab is not Tab.OVERVIEW
        self.query_one("#filter").display = False
        self.grid.focus()
        self._show_keys()
        self.show()
        if tab in (Tab.JOBS, Tab.DEAD):
            self.look_now()

    def _show_keys(self) -> None:
        actions = () if self._read_only else CONTENTS[self._tab].actions
        keys = [*_FIRST_KEYS, *((action.key, action.word) for action in actions), *_LAST_KEYS]
        self.query_one("#keys", Static).update(key_line(keys, self.size.width))

    def action_filter(self) -> None:
        """Write a filter; rows follow while it is written."""
        line = self.query_one("#filter", Input)
        line.value = self._views[self._tab].filter
        line.display = True
        line.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The filter became another one."""
        if event.input.display and event.input.has_focus:
            self._filter(event.value)

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """The filter stays."""
        self._end_filter()

    def _filter(self, words: str) -> None:
        view = self._views[self._tab]
        self._views[self._tab] = View(sorted_by=view.sorted_by, descending=view.descending, filter=words)
        self.show()

    def _end_filter(self) -> None:
        self.query_one("#filter").display = False
        self.grid.focus()
        self._show_status()

    def action_back(self) -> None:
        """Take away the filter, then the choice of a queue."""
        if self._views[self._tab].filter or self.query_one("#filter").display:
            self._end_filter()
            self._filter("")
        elif self._tab is Tab.JOBS and self.looking.queue is not None:
            self.looking.choose(None)
            self.look_now()
            self.show()
        else:
            self.say("")

    def action_sort(self, step: int) -> None:
        """By another column."""
        sheet = CONTENTS[self._tab].sheet
        shown = [place for place, _ in fitted(sheet.columns, self.grid.size.width)]
        self._views[self._tab] = sorted_next(self._views[self._tab], sheet, step, shown)
        self.show()

    def action_reverse(self) -> None:
        """The other way round."""
        view = self._views[self._tab]
        self._views[self._tab] = View(
            sorted_by=view.sorted_by, descending=not view.descending, filter=view.filter
        )
        self.show()

    def action_hold(self) -> None:
        """Hold the picture still, or go on."""
        self.looking.paused = not self.looking.paused
        self.look_now()
        self._show_header()

    def action_slower(self, steps: int) -> None:
        """Refresh less often, or more often."""
        self.looking.slower(steps)
        self.look_now()
        self.say(f"refreshed every {self.looking.interval_seconds:g} s")
        self._show_header()

    def action_help(self) -> None:
        """Every key."""
        self.app.push_screen(Story("lorayard top", help_text(self._tab, read_only=self._read_only)))

    # ---- looking closer

    def action_closer(self) -> None:
        """What Enter does on this tab."""
        picture, chosen = self.looking.picture, self.grid.chosen
        if picture is None:
            return
        if self._tab is Tab.OVERVIEW:
            lines = trouble_lines(picture.snapshot.troubles, max(40, self.size.width - 8), 10_000)
            told = [line.plain for line in lines]
            if chosen is not None:
                told += ["", CONTENTS[self._tab].detail(chosen.about, picture)]
            self.app.push_screen(Story("What is wrong", "\n".join(told)))
        elif chosen is None:
            return
        elif self._tab is Tab.QUEUES:
            self.looking.choose(chosen.about)
            self._switch(Tab.JOBS)
        elif self._tab is Tab.JOBS:
            self._start("explain", self._explain(chosen.about))
        elif self._tab is Tab.DEAD:
            self.app.push_screen(Story(f"Letter {chosen.about.number}", dead_story(chosen.about)))
        else:
            self.app.push_screen(Story(chosen.key, CONTENTS[self._tab].detail(chosen.about, picture)))

    async def _explain(self, job: Any) -> None:
        self.say("asking ...")
        sentence = await self.looking.feed.explain(job)
        self.say("")
        await self.app.push_screen(Story(f"Job {job.job}", sentence))

    # ---- doing

    def on_key(self, event: events.Key) -> None:
        """A key of this tab's actions."""
        if self.query_one("#filter").has_focus:
            return
        found = next((one for one in CONTENTS[self._tab].actions if one.key == event.character), None)
        if found is None:
            return
        event.stop()
        if self._read_only or self._clients is None:
            self.say("read-only: nothing can be changed here")
        else:
            self._start(found.word, self._act(found, self._clients))

    def _start(self, word: str, work: Any) -> None:
        """One thing at a time: the second key of a hasty hand must not cancel what the first began."""
        if self._busy:
            work.close()
            self.say(f"still at it: {self._busy}")
            return
        self._busy = word
        self.run_worker(self._finish(work), name=word, group="act")

    async def _finish(self, work: Any) -> None:
        try:
            await work
        except NothingToDo as answer:
            self.say(str(answer))
        except Exception as error:  # noqa: BLE001  # one line, and the screen lives on
            self.say(f"error: {explain(error).message}", style="bold red")
        finally:
            self._busy = ""

    async def _act(self, action: Action, clients: TenantClients) -> None:
        picture, chosen = self.looking.picture, self.grid.chosen
        if picture is None or chosen is None:
            raise NothingToDo("nothing is chosen")
        shown = tuple(row.about for row in self._rows())
        situation = Situation(
            clients=clients,
            picture=picture,
            about=chosen.about,
            shown=shown,
            filter=self._views[self._tab].filter,
        )
        plan = await self._picked(await action.plans(situation))
        reason = await self.app.push_screen_wait(Confirm(plan)) if plan is not None else None
        if plan is None or reason is None:
            raise NothingToDo("nothing was done")
        self.say(f"{plan.title} ...")
        self.say(await plan.run(reason), style="bold green")
        self.look_now()

    async def _picked(self, plans: list[Plan]) -> Plan | None:
        if len(plans) == 1:
            return plans[0]
        return await self.app.push_screen_wait(Choose(plans))
