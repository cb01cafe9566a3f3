"""Clocks that are off: libfaketime under a process reads from a file by how much.

Go's server asks the kernel itself, and cannot be had so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

PLACES: Final = (Path(".faketime/usr/lib"), Path("/usr/lib"))
NAME: Final = "libfaketimeMT.so.1"


def find_faketime() -> Path | None:
    """The library, from Debian's package installed or unpacked by `make faketime`."""
    for place in PLACES:
        found = next(iter(sorted(place.glob(f"*/faketime/{NAME}"))), None)
        if found is not None:
            return found.resolve()
    return None


def clock_environment(library: Path, file: Path) -> dict[str, str]:
    """For a process whose clock may be off; what runs on by itself stays right."""
    set_clock(file, 0.0)
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
    }


def set_clock(file: Path, off_seconds: float) -> None:
    """By how much it is off, within a second."""
    new = file.with_suffix(".new")
    new.write_text(f"{off_seconds:+.0f}\n", encoding="utf-8")
    new.replace(file)
