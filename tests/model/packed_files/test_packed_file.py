"""Packed files: what was written is what is read, and nothing else is."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from tests.model.packed_files.conftest import (
    DAMAGES,
    SHAPES,
    TYPES,
    assert_same,
    digest_of,
    flip,
    make_adapter,
)

from lorayard_workers.errors import PackedFileError
from lorayard_workers.memory.index import index, restore
from lorayard_workers.memory.packed_file import compose_packed, open_packed
from lorayard_workers.memory.packed_folder import PackedFolder
from lorayard_workers.memory.quantized import Storage, quantize_adapter


@pytest.mark.parametrize("storage", Storage)
def test_what_is_no_plain_sum_is_none_when_it_comes_back__c8(tmp_path: Path, storage: Storage) -> None:
    """Known without restoring any group: rows wait for the engine's thread, which asks."""
    adapter = replace(make_adapter(), sums=False)
    adapter = quantize_adapter(adapter) if storage is Storage.INT8 else adapter
    folder = PackedFolder(path=tmp_path, budget_bytes=1 << 20, owner="me")
    folder.put(adapter)
    assert_same(folder.get(adapter.digest), adapter)
    assert not adapter.sums


@given(outs=SHAPES, dtype=TYPES, pages=st.integers(1, 3), small=st.booleans())
def test_an_adapter_comes_back_from_its_index_as_it_was__c9(
    outs: list[list[int] | None], dtype: torch.dtype, pages: int, small: bool
) -> None:
    adapter = make_adapter(1, outs, rank=8 * pages, dtype=dtype)
    adapter = quantize_adapter(adapter) if small else adapter
    indexed = index(adapter)
    tree = json.loads(json.dumps(indexed.tree))
    assert_same(restore(tree, indexed.sections), adapter)
    values = sum(section.numel() * section.element_size() for section in indexed.sections.values())
    assert values == adapter.size_bytes  # what the tiers count is what there is


@pytest.mark.parametrize("storage", list(Storage))
def test_an_adapter_comes_back_from_its_file_as_it_was__c9(path: Path, storage: Storage) -> None:
    adapter = make_adapter() if storage is Storage.MODEL else quantize_adapter(make_adapter())
    packed = compose_packed(adapter, "owner")
    packed.write(path)
    assert path.stat().st_size == packed.size_bytes
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # nothing unfinished is left
    found, state = open_packed(path, adapter.digest, "owner")
    assert_same(found, adapter)
    assert_same(open_packed(path, adapter.digest, "owner", verified=state)[0], adapter)


def test_any_reader_of_safetensors_reads_the_file__c9(path: Path) -> None:
    adapter = quantize_adapter(make_adapter())
    compose_packed(adapter, "owner").write(path)
    opened: Any = safe_open(path, framework="pt")
    with opened as file:
        sections = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        tree = json.loads(file.metadata()["index"])
    assert_same(restore(tree, sections), adapter)


def overwrite(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


def cut_off(path: Path) -> None:
    os.truncate(path, 0)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [overwrite, cut_off, remove])
def test_what_was_read_is_what_was_checked_whatever_becomes_of_its_file__c9_g3(
    path: Path, change: Callable[[Path], None]
) -> None:
    """Under a map, a file that is cut short ends the process, and a new content reaches the slots."""
    adapter = make_adapter(outs=[[40_000]])  # many pages
    compose_packed(adapter, "owner").write(path)
    found, _ = open_packed(path, adapter.digest, "owner")
    path.chmod(0o600)
    change(path)
    assert_same(found, adapter)


def test_what_was_read_is_never_written_back__c9(path: Path) -> None:
    adapter = make_adapter()
    compose_packed(adapter, "owner").write(path)
    before = path.read_bytes()
    found, _ = open_packed(path, adapter.digest, "owner")
    group = found.groups[0]
    assert group is not None
    group.a.fill_(7)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_as_it_was_written_is_refused__c9_g5(
    path: Path, damage: Callable[[Path], None]
) -> None:
    adapter = make_adapter()
    compose_packed(adapter, "owner").write(path)
    path.chmod(0o600)
    damage(path)
    with pytest.raises(PackedFileError):
        open_packed(path, adapter.digest, "owner")


def test_no_bit_of_a_file_can_change_unseen__c9(path: Path) -> None:
    adapter = make_adapter(outs=[[1]], rank=1)
    compose_packed(adapter, "owner").write(path)
    data = path.read_bytes()
    path.chmod(0o600)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            found, _ = open_packed(path, adapter.digest, "owner")
        except PackedFileError:
            continue
        assert_same(found, adapter)  # white space between header and values


@pytest.mark.parametrize(
    "changes", [{"digest": digest_of(1)}, {"owner": "other"}, {"format": "lorayard-packed-0"}]
)
def test_a_sound_file_of_something_else_is_refused__c9_g5(
    path: Path, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compose_packed(make_adapter(), "owner").write(path)
    if "format" in changes:
        monkeypatch.setattr("lorayard_workers.memory.packed_file.FORMAT", changes["format"])
    name = next(iter(changes))
    with pytest.raises(PackedFileError, match=f"its {name} is"):
        open_packed(path, changes.get("digest", digest_of(0)), changes.get("owner", "owner"))


def test_a_file_changed_in_place_is_hashed_again__c9(path: Path) -> None:
    adapter = make_adapter()
    compose_packed(adapter, "owner").write(path)
    _, state = open_packed(path, adapter.digest, "owner")
    path.chmod(0o600)
    flip(-1)(path)
    os.utime(path, ns=(0, state.modified_ns + 1))
    with pytest.raises(PackedFileError, match="not what was written"):
        open_packed(path, adapter.digest, "owner", verified=state)


def test_a_file_that_is_opened_again_is_read_before_it_is_used__c4(path: Path) -> None:
    """Else the copy into a slot waits for the disk, and with it every row."""
    wide: list[list[int] | None] = [[2048]] * 16
    adapter = make_adapter(outs=wide, rank=512)  # 32 MiB: the kernel reads 8 ahead on some disks
    compose_packed(adapter, "owner").write(path)
    state = open_packed(path, adapter.digest, "owner")[1]
    forget(path)
    if not blocks_read(path.read_bytes):
        pytest.skip("this file system keeps what it is told to forget")
    forget(path)
    found = open_packed(path, adapter.digest, "owner", verified=state)[0]
    assert blocks_read(lambda: assert_same(found, adapter)) == 0


def forget(path: Path) -> None:
    """The file is on the disk alone, not in the kernel's cache."""
    with path.open("rb") as file:
        os.fsync(file)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def blocks_read(work: Callable[[], object]) -> int:
    """How many 512-byte blocks this thread has waited for at the disk."""
    start = resource.getrusage(resource.RUSAGE_THREAD).ru_inblock
    work()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock - start


def test_a_kind_of_content_without_a_form_is_not_written__c9() -> None:
    odd = replace(make_adapter(), groups=(object(),))  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(TypeError, match="object is not kept"):
        compose_packed(odd, "owner")
