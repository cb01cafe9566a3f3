"""The help: every key, what it does, and what the words mean."""

from __future__ import annotations

from lorayard_cli.top.picture import Tab
from lorayard_cli.top.tabs import CONTENTS

GLOBAL = (
    ("1-7", "show a tab; Tab and Shift-Tab go to the next and the one before"),
    ("↑ ↓", "choose a row, also j and k; PgUp, PgDn, Home, End"),
    ("Enter", "look closer"),
    ("/", "filter: all words must be there, -word must not; Enter keeps it"),
    ("Esc", "take the filter away; close what is open"),
    ("< >", "sort by the column before, or the next one"),
    ("v", "reverse the order"),
    ("Space", "hold the picture still; again: go on"),
    ("+ -", "refresh less often, or more often"),
    ("?", "this help"),
    ("q", "quit"),
)


def help_text(tab: Tab, *, read_only: bool) -> str:
    """For the tab that is shown."""
    content = CONTENTS[tab]
    lines = [f"On this tab ({tab}): Enter {content.enter}.", ""]
    if read_only:
        lines.append("Started with --read-only: nothing can be changed here.")
    else:
        lines += [f"  {action.key:<6} {action.word}: {action.sentence}" for action in content.actions]
    lines += [
        "",
        "Uppercase keys stop work, or start much of it. Each says first what it would do, and asks.",
        "",
        *(f"  {key:<6} {does}" for key, does in GLOBAL),
        "",
        "Times are UTC. An old picture says so at the top right: what is shown is how it was then.",
    ]
    return "\n".join(lines)
