"""Fetched adapters on disk (C2, D2): shared by workers, bounded in bytes, and nothing in use leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lorayard_workers.adapters.pulled_folder import STALE_SECONDS, Claim, PulledFolder
from lorayard_workers.errors import CapacityError


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def fill(folder: PulledFolder, number: int, *, size: int = 100, last_used: float | None = None) -> None:
    """As a worker fetches an adapter, which another one used until `last_used`."""
    claim = begin(folder, number, size=size)
    (claim.incoming / "weights").write_bytes(bytes(size))
    assert folder.settle(claim, ["weights"])
    if last_used is not None:
        folder.release([digest(number)])
        os.utime(folder.root / (folder.place(digest(number)).name + ".lock"), (last_used, last_used))


def begin(folder: PulledFolder, number: int, *, size: int = 100) -> Claim:
    claim = folder.claim(digest(number))
    assert claim is not None
    folder.make_room(claim, size)
    return claim


def there(folder: PulledFolder) -> list[int]:
    return [number for number in range(20) if folder.place(digest(number)).is_dir()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pulled"


def test_what_was_fetched_is_there_for_the_next_worker(root: Path) -> None:
    fill(PulledFolder(root, 1000), 1)
    other = PulledFolder(root, 1000)
    assert other.hold(digest(1))
    assert [file.name for file in other.place(digest(1)).iterdir()] == ["weights"]
    assert not other.hold(digest(2))


def test_of_two_workers_one_fetches(root: Path) -> None:
    one, other = PulledFolder(root, 1000), PulledFolder(root, 1000)
    claim = begin(one, 1)
    assert other.claim(digest(1)) is None
    assert not other.hold(digest(1)), "half of it is not there"
    (claim.incoming / "weights").write_bytes(b"x")
    one.settle(claim, ["weights"])
    assert other.hold(digest(1))


def test_the_longest_unused_leave_for_a_new_one__c2(root: Path) -> None:
    folder = PulledFolder(root, 350)
    for number, last_used in ((1, 300.0), (2, 100.0), (3, 200.0)):
        fill(folder, number, last_used=last_used)
    fill(folder, 4)
    assert there(folder) == [1, 3, 4]


def test_what_any_worker_uses_never_leaves__c3(root: Path) -> None:
    one, other = PulledFolder(root, 250), PulledFolder(root, 250)
    fill(one, 1, last_used=1.0)
    fill(one, 2, last_used=2.0)
    assert other.hold(digest(1))
    fill(one, 3)
    assert there(one) == [1, 3]


def test_an_adapter_for_which_no_room_can_be_made_is_refused_with_the_sizes(root: Path) -> None:
    folder = PulledFolder(root, 250)
    fill(folder, 1)
    fill(folder, 2)
    claim = folder.claim(digest(3))
    assert claim is not None
    with pytest.raises(CapacityError, match="needs 100, but pulled_bytes is 250") as caught:
        folder.make_room(claim, 100)
    assert caught.value.setting == "pulled_bytes"
    assert there(folder) == [1, 2]


def test_a_released_one_may_leave(root: Path) -> None:
    folder = PulledFolder(root, 150)
    fill(folder, 1)
    folder.release([digest(1)])
    fill(folder, 2)
    assert there(folder) == [2]


def test_bytes_that_are_on_their_way_count(root: Path) -> None:
    one, other = PulledFolder(root, 250), PulledFolder(root, 250)
    begin(one, 1, size=200)
    claim = other.claim(digest(2))
    assert claim is not None
    with pytest.raises(CapacityError):
        other.make_room(claim, 100)


def test_what_a_dead_worker_left_half_fetched_is_taken_up(root: Path) -> None:
    """The lock ends with its process, killed as hard as can be."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from lorayard_workers.adapters.pulled_folder import PulledFolder\n"
        f"folder = PulledFolder(Path({str(root)!r}), 1000)\n"
        f"claim = folder.claim({digest(1)!r}); folder.make_room(claim, 100)\n"
        "(claim.incoming / 'weights').write_bytes(b'half')\n"
        "print('ready', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        folder = PulledFolder(root, 1000)
        assert folder.claim(digest(1)) is None, "it lives"
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    claim = folder.claim(digest(1))
    assert claim is not None
    assert (claim.incoming / "weights").read_bytes() == b"half"


def test_half_fetched_ones_of_nobody_leave_first(root: Path) -> None:
    folder = PulledFolder(root, 250)
    fill(folder, 1, last_used=1.0)
    folder.give_up(begin(folder, 2))
    fill(folder, 3)
    assert there(folder) == [1, 3]
    assert not list(root.glob("*.incoming"))


def test_half_fetched_ones_are_removed_after_a_day(root: Path) -> None:
    folder = PulledFolder(root, 1000)
    claim = begin(folder, 1)
    begin(folder, 2)
    folder.give_up(claim)
    now = claim.incoming.stat().st_mtime
    folder.clean(now + STALE_SECONDS - 1)
    assert len(list(root.glob("*.incoming"))) == 2
    folder.clean(now + STALE_SECONDS + 60)
    assert [path.name[-9 - 1 :] for path in root.glob("*.incoming")] == ["2.incoming"], (
        "that one is being filled"
    )


def test_only_what_belongs_to_an_adapter_is_shown__g5(root: Path) -> None:
    folder = PulledFolder(root, 1000)
    claim = begin(folder, 1)
    for name in ("weights", "left-by-an-older-try"):
        (claim.incoming / name).write_bytes(b"x")
    folder.settle(claim, ["weights"])
    assert [file.name for file in folder.place(digest(1)).iterdir()] == ["weights"]


def test_a_link_in_the_folder_is_neither_counted_nor_followed__g5(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_bytes(bytes(500))
    folder = PulledFolder(root, 250)
    fill(folder, 1, last_used=1.0)
    (root / "sha256-link").symlink_to(tmp_path / "mine")
    fill(folder, 2)
    fill(folder, 3)
    assert (tmp_path / "mine" / "thesis").exists()
    assert there(folder) == [2, 3]


def test_a_link_for_a_lock_is_refused__g5(root: Path, tmp_path: Path) -> None:
    folder = PulledFolder(root, 250)
    root.mkdir()
    (tmp_path / "mine").write_text("mine")
    (root / (folder.place(digest(1)).name + ".lock")).symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic links"):
        folder.claim(digest(1))
