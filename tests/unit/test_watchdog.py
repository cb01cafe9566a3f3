"""When a worker counts as hung, and that one with a blocked loop ends all the same."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from lorayard_workers.pulse import Pulse
from lorayard_workers.service.watchdog import LONGEST_PIECES, find_stall

STALL_SECONDS = 10.0

SEEN_LOOKS = """
import asyncio, queue
from lorayard_workers.service import watchdog

find_stall, seen = watchdog.find_stall, queue.SimpleQueue()

def counted(*given):
    seen.put(None)
    return find_stall(*given)

watchdog.find_stall = counted

def look(times):
    while not seen.empty():
        seen.get()
    for _ in range(times):
        seen.get()

async def looks(times):
    await asyncio.to_thread(look, times)
"""
"""Waits until the watchdog has looked so many times more, however slow the machine is."""

STOPPED = (
    SEEN_LOOKS
    + """
import os
from lorayard_workers.pulse import Pulse
from lorayard_workers.service import fuse, watchdog

watchdog.ENDING_SECONDS = fuse.LOOK_SECONDS = 0.1
watchdog.MOST_LOOK_SECONDS = 0.05

async def main():
    works = Pulse("engine")
    works.mark("a step")
    dog = watchdog.Watchdog((works,), stall_seconds=0.4, on_stall=lambda *_: None, owns_process=True)
    watching = asyncio.create_task(dog.watch())
    await looks(2)
    stop = "kill -STOP $0; sleep 2; kill -CONT $0"
    stopping = await asyncio.create_subprocess_exec("sh", "-c", stop, str(os.getpid()))
    await stopping.wait()
    works.rest()
    await looks(6)
    assert not watching.done()
    assert works.longest_seconds < 1.0
    print("goes on", flush=True)
    watching.cancel()

asyncio.run(main())
"""
)

BLOCKED = """
import asyncio, threading
from lorayard_workers.service import watchdog

watchdog.ENDING_SECONDS = 0.2

async def main():
    told = threading.Event()
    dog = watchdog.Watchdog((), stall_seconds=0.2, on_stall=lambda *_: told.set(), owns_process=True)
    watching = asyncio.create_task(dog.watch())
    await asyncio.sleep(0)
    told.wait()  # the loop does not come on from here
    print("told", flush=True)
    threading.Event().wait()

asyncio.run(main())
"""

LOCKED = (
    SEEN_LOOKS
    + """
import ctypes

watchdog.ENDING_SECONDS = 0.2

async def main():
    dog = watchdog.Watchdog((), stall_seconds=0.2, on_stall=lambda *_: None, owns_process=True)
    watching = asyncio.create_task(dog.watch())
    await looks(1)
    while True:
        ctypes.PyDLL(None).pause()  # keeps the interpreter's lock

asyncio.run(main())
"""
)


UNWATCHED = """
import os, signal, time
from lorayard_workers.service import fuse

fuse.LOOK_SECONDS = 0.1
watched = fuse.Fuse()
first = watched.pid
os.kill(first, signal.SIGKILL)
while watched.pid == first:
    watched.arm(0.1)
signal.signal(fuse.STACKS_SIGNAL, lambda *_: print("asked for its stacks", flush=True))
while True:
    signal.pause()
"""


def busy(piece: str = "a step", *, longest_seconds: float = 0.0) -> Pulse:
    pulse = Pulse("engine")
    pulse.longest_seconds = longest_seconds
    pulse.mark(piece)
    return pulse


def at_rest() -> Pulse:
    pulse = busy()
    pulse.rest()
    return pulse


@pytest.mark.parametrize(
    ("longest_seconds", "seconds", "hangs"),
    [
        (0.0, STALL_SECONDS - 1, False),
        (0.0, STALL_SECONDS + 1, True),
        (STALL_SECONDS, STALL_SECONDS + 1, False),
        (STALL_SECONDS, LONGEST_PIECES * STALL_SECONDS + 1, True),
    ],
    ids=["works", "hangs", "was as slow before", "is slower than ever"],
)
def test_a_thread_hangs_that_is_too_long_at_one_piece(
    longest_seconds: float, seconds: float, hangs: bool
) -> None:
    pulse = busy(longest_seconds=longest_seconds)
    stall = find_stall([at_rest(), pulse], time.monotonic() + seconds, STALL_SECONDS)
    assert (stall is not None) is hangs
    if stall is not None:
        assert (stall.thread, stall.piece) == ("engine", "a step")


def test_a_thread_at_rest_never_hangs() -> None:
    assert find_stall([at_rest()], time.monotonic() + 1e6, STALL_SECONDS) is None


def test_each_mark_begins_a_new_piece() -> None:
    pulse = busy("one")
    pulse.mark("two")
    piece, seconds = pulse.in_hand(time.monotonic() + 5.0) or ("", 0.0)
    assert piece == "two"
    assert seconds == pytest.approx(5.0, abs=1.0)


def test_a_process_whose_loop_is_blocked_writes_its_stacks_and_ends() -> None:
    """Nobody is left to end it in order; its supervisor starts it again."""
    ended = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert "worker_hung" in ended.stdout
    assert "told" in ended.stdout
    assert "in main" in ended.stderr


def test_a_process_in_which_no_thread_comes_to_run_is_ended_from_without() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOCKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "")
    assert "in main" in ended.stderr


def test_who_watches_is_started_again_when_somebody_has_ended_it() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", UNWATCHED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "asked for its stacks\n")


def test_a_process_that_was_stopped_for_longer_goes_on() -> None:
    """Whatever was in hand is as old as the stop, and a timer would have run out meanwhile."""
    ended = subprocess.run(
        [sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "goes on\n", "")
