"""What is asked and told above the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from lorayard_cli.top.actions.action import Plan, Reason
from lorayard_cli.top.columns import clean

_LEAVE = Binding("escape", "leave", show=False)


class Story(ModalScreen[None]):
    """Text to be read; any of the usual keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "leave", show=False)]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """A frame with the text."""
        told = "\n".join(clean(line) for line in self._text.split("\n"))
        with Vertical(classes="frame wide") as frame:
            frame.border_title = Text(clean(self._title)).markup
            frame.border_subtitle = "Esc closes"
            with VerticalScroll():
                yield Static(Text(told))

    def action_leave(self) -> None:
        """Back to the tables."""
        self.dismiss(None)


class Choose(ModalScreen[Plan | None]):
    """Which of several things is meant."""

    BINDINGS: ClassVar[list[BindingType]] = [_LEAVE]

    def __init__(self, plans: Sequence[Plan]) -> None:
        super().__init__()
        self._plans = plans

    def compose(self) -> ComposeResult:
        """A frame with a list."""
        with Vertical(classes="frame") as frame:
            frame.border_title = "Which?"
            frame.border_subtitle = "Enter takes it, Esc none"
            yield OptionList(*(Text(clean(plan.title)) for plan in self._plans))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """This one."""
        self.dismiss(self._plans[event.option_index])

    def action_leave(self) -> None:
        """None of them."""
        self.dismiss(None)


class Confirm(ModalScreen[str | None]):
    """What will happen, and whether it shall; the answer is the reason, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [_LEAVE]

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def compose(self) -> ComposeResult:
        """A frame with what will happen, and a line for the reason where one is kept."""
        plan = self._plan
        with Vertical(classes="frame") as frame:
            frame.border_title = Text(clean(plan.title)).markup
            frame.border_subtitle = (
                "y does it, Esc does not" if plan.reason is Reason.NONE else "Enter does it, Esc does not"
            )
            yield Static(Text(clean(plan.effect)))
            yield Static(Text(f"$ {clean(plan.command)}", style="dim"), classes="apart")
            if plan.reason is not Reason.NONE:
                needed = "" if plan.reason is Reason.NEEDED else " (may be left out)"
                yield Static(f"Why?{needed}", id="why", classes="apart")
                yield Input(id="reason", compact=True, max_length=200)

    def on_key(self, event: events.Key) -> None:
        """Where no reason is asked for, a key that nobody presses by the way."""
        if self._plan.reason is Reason.NONE and event.key == "y":
            event.stop()
            self.dismiss("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The reason is written."""
        reason = event.value.strip()
        if not reason and self._plan.reason is Reason.NEEDED:
            asked = Text("Why? Say it: it is kept, and told to whoever asks.", style="bold")
            self.query_one("#why", Static).update(asked)
            return
        self.dismiss(reason)

    def action_leave(self) -> None:
        """It shall not."""
        self.dismiss(None)
