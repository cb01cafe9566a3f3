"""Small disks of our own that can be filled, in a mount namespace that ends with the run."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

INSIDE: Final = "LORAYARD_CHAOS_DISKS"
"""Set in a process whose mounts are its own."""
FILLER: Final = ".filler"
BLOCK_BYTES: Final = 1 << 20


def enter(module: str, arguments: Sequence[str]) -> None:
    """Go on as `python -m MODULE` with mounts of one's own, as root or in a user namespace, where possible.

    Nothing that is mounted there outlives the processes in it, however they end.
    """
    apart = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if INSIDE in os.environ or shutil.which("unshare") is None:
        return
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        return
    os.environ[INSIDE] = "1"
    os.execvp(apart[0], [*apart, sys.executable, "-m", module, *arguments])


def can_mount() -> bool:
    """Whether `mount_disk` works here."""
    return INSIDE in os.environ


def mount_disk(folder: Path, size_bytes: int) -> None:
    """A disk of that size at a folder, in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)], check=True)


def unmount_disk(folder: Path) -> None:
    """Take it away, so that its folder can be removed; whoever still uses it keeps it until it ends."""
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def fill(folder: Path) -> None:
    """Leave no byte of its disk free."""
    with (folder / FILLER).open("wb", buffering=0) as file:
        block = BLOCK_BYTES
        while block:
            try:
                file.write(bytes(block))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                block //= 2


def clear(folder: Path) -> None:
    """Free what `fill` took."""
    (folder / FILLER).unlink(missing_ok=True)
