"""Have a job come again and again: `python cron.py add run history`; there are `ls` and `remove` too.

The yard itself keeps the schedule: no program of yours has to run when its time comes.
"""

from __future__ import annotations

import sys
from datetime import datetime
from zoneinfo import ZoneInfo

from lorayard import LorayardError, SyncClient

NAME = "morning-digest"
ZONE = "Europe/Zurich"


def add(yard: SyncClient) -> None:
    """Safe to call at each start of a service: the same schedule is written over itself."""
    yard.schedules.add(
        NAME,
        "Write one friendly sentence for the start of a working day.",
        cron="30 7 * * 1-5",
        tz=ZONE,
        overlap="skip",  # while the last one still runs
        catch_up="last",  # after the yard was away
        max_new_tokens=48,
        deadline_seconds=1800,
        replacing=True,
        reason="deployed",
    )
    ls(yard)


def ls(yard: SyncClient) -> None:
    """What comes when."""
    for view in yard.schedules.list():
        times = [datetime.fromtimestamp(at, ZoneInfo(ZONE)).isoformat("T", "minutes") for at in view.upcoming]
        print(view.schedule.name, view.schedule.cron, *times)


def run(yard: SyncClient) -> None:
    """Now, beside its times."""
    print(yard.schedules.run_now(NAME).result(timeout_seconds=60).text)


def history(yard: SyncClient) -> None:
    """What became of the last ones; a job's id leads to its answer for as long as results are kept."""
    for one in yard.schedules.history(NAME):
        print(datetime.fromtimestamp(one.at, ZoneInfo(ZONE)).isoformat("T", "seconds"), one.job, one.state)


def remove(yard: SyncClient) -> None:
    """No more of it."""
    yard.schedules.remove(NAME, reason="not wanted any more")


VERBS = {verb.__name__: verb for verb in (add, ls, run, history, remove)}

if __name__ == "__main__":
    chosen = [VERBS.get(word) for word in sys.argv[1:] or ["add"]]
    try:
        with SyncClient() as opened:
            for verb in chosen:
                if verb is None:
                    sys.exit(f"use {', '.join(VERBS)}")
                verb(opened)
    except LorayardError as error:
        sys.exit(str(error))
