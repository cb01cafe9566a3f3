"""The folder of packed files: its budget, its neighbours, and what it makes anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.model.packed_files.conftest import (
    DAMAGES,
    LAYOUTS,
    assert_same,
    digest_of,
    folder,
    make_adapter,
)

from lorayard_workers.memory.packed_file import PackedFile, compose_packed
from lorayard_workers.memory.packed_folder import PackedFolder, owner_of
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.quantized import Storage


def open_folder(path: Path, budget_bytes: int = 1 << 20, **changes: Any) -> PackedFolder:
    given: dict[str, Any] = {
        "base_digest": "sha256:base",
        "layouts": LAYOUTS,
        "dtype": torch.bfloat16,
        "storage": Storage.MODEL,
    }
    return PackedFolder(path=path, budget_bytes=budget_bytes, owner=owner_of(**(given | changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"base_digest": "sha256:other"},
        {"layouts": LAYOUTS[::-1]},
        {"layouts": (replace(LAYOUTS[0], members=("k", "q")), LAYOUTS[1])},
        {"dtype": torch.float32},
        {"storage": Storage.INT8},
    ],
)
def test_a_file_for_another_model_or_setting_is_never_used__c9(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    open_folder(tmp_path).put(make_adapter())
    other = open_folder(tmp_path, **changes)
    assert other.get(digest_of(0)) is None
    mine = open_folder(tmp_path)
    assert_same(mine.get(digest_of(0)), make_adapter())
    mine.file_of(digest_of(0)).rename(other.file_of(digest_of(0)))  # also not under its name
    with capture_logs() as logs:
        assert other.get(digest_of(0)) is None
    assert [log["event"] for log in logs] == ["packed_file_refused"]


@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage is not folder])
def test_a_bad_file_is_removed_logged_and_made_anew__c9(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    packed = open_folder(tmp_path)
    packed.put(make_adapter())
    path = packed.file_of(digest_of(0))
    path.chmod(0o600)
    damage(path)
    with capture_logs() as logs:
        assert packed.get(digest_of(0)) is None
    assert [(log["event"], log["digest"]) for log in logs] == [("packed_file_refused", digest_of(0))]
    packed.put(make_adapter())
    assert_same(packed.get(digest_of(0)), make_adapter())


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=25),
    budget_bytes=st.integers(1500, 9000),
)
def test_the_folder_never_exceeds_its_budget_and_the_longest_unused_leave__c2_c3(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    steps: list[tuple[bool, int]],
    budget_bytes: int,
) -> None:
    packed = open_folder(tmp_path_factory.mktemp("packed"), budget_bytes)
    adapters = [make_adapter(i, [[size]]) for i, size in enumerate(sizes)]
    need = {a.digest: compose_packed(a, packed.owner).size_bytes for a in adapters}
    order: list[str] = []  # what must be there, longest unused first
    for puts, number in steps:
        adapter = adapters[number % len(adapters)]
        if puts:
            with capture_logs():
                packed.put(adapter)
            if adapter.digest not in order and need[adapter.digest] <= budget_bytes:
                room = budget_bytes - need[adapter.digest]
                order = [*what_stays([(d, need[d]) for d in order], room), adapter.digest]
        elif packed.get(adapter.digest) is not None:
            order.remove(adapter.digest)
            order.append(adapter.digest)
        assert packed.used_bytes() == sum(need[digest] for digest in order) <= budget_bytes
    assert {a.digest for a in adapters if packed.get(a.digest)} == set(order)


def what_stays(held: list[tuple[str, int]], room: int) -> list[str]:
    """The longest unused leave until the rest fits; of those, the later ones that fit after all stay."""
    leaving: list[tuple[str, int]] = []
    while sum(size for _, size in held) - sum(size for _, size in leaving) > room:
        leaving.append(held[len(leaving)])
    spare = room - sum(size for _, size in held) + sum(size for _, size in leaving)
    gone: set[str] = set()
    for digest, size in reversed(leaving):
        if size <= spare:
            spare -= size
        else:
            gone.add(digest)
    return [digest for digest, _ in held if digest not in gone]


def test_what_a_dead_process_left_unfinished_is_removed__c2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = open_folder(tmp_path)
    with monkeypatch.context() as patch:

        def killed(*_: object, **__: object) -> None:
            raise SystemExit

        patch.setattr(os, "fsync", killed)
        patch.setattr(Path, "unlink", killed)  # nor does it clean up
        with pytest.raises(SystemExit):
            packed.put(make_adapter())
    assert len(unfinished(tmp_path)) == 1
    packed.put(make_adapter())
    assert not unfinished(tmp_path)
    assert_same(packed.get(digest_of(0)), make_adapter())


def test_a_file_that_another_process_wrote_first_stays__c9(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers of a yard read the same adapter at once."""
    packed, other = open_folder(tmp_path), open_folder(tmp_path)
    states: list[int] = []

    def slowly(adapter: HostAdapter, owner: str) -> PackedFile:
        monkeypatch.undo()
        other.put(adapter)
        states.append(other.file_of(adapter.digest).stat().st_ino)
        return compose_packed(adapter, owner)

    monkeypatch.setattr("lorayard_workers.memory.packed_folder.compose_packed", slowly)
    with capture_logs() as logs:
        packed.put(make_adapter())
    assert [packed.file_of(digest_of(0)).stat().st_ino] == states
    assert not logs


def unfinished(path: Path) -> list[Path]:
    return list(path.glob(".writing-*"))


def test_files_of_others_are_neither_counted_nor_removed__c2_g5(tmp_path: Path) -> None:
    """The folder may be one that holds a model or adapters."""
    names = (
        *("model.safetensors", "adapter_model.safetensors", ".lock", ".writing-x", "a/model.safetensors"),
        *(f"{'0' * 64}.safetensors", f"x{'0' * 64}-{'0' * 16}.safetensors", f".writing-{'0' * 64}-x"),
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 3000)
    size = compose_packed(make_adapter(), "0" * 64).size_bytes
    packed = open_folder(tmp_path, budget_bytes=size)
    for number in range(3):
        packed.put(make_adapter(number))
        assert packed.used_bytes() == size
        assert packed.get(digest_of(number)) is not None
    for name in names:
        assert (tmp_path / name).read_bytes() == b"x" * 3000


def test_folders_under_names_like_ours_are_left_alone_and_stop_nothing__c2_g3(tmp_path: Path) -> None:
    stem = f"{'0' * 64}-{'0' * 16}"
    for name in (".lock", ".writing-x", f".writing-{stem}-abcdefgh", f"{stem}.safetensors"):
        (tmp_path / name).mkdir()
    before = set(tmp_path.iterdir())
    packed = open_folder(tmp_path, budget_bytes=compose_packed(make_adapter(), "0" * 64).size_bytes)
    packed.put(make_adapter())
    packed.put(make_adapter(1))
    assert packed.get(digest_of(0)) is None  # evicted
    assert_same(packed.get(digest_of(1)), make_adapter(1))
    assert before <= set(tmp_path.iterdir())


def test_a_folder_that_cannot_be_used_costs_only_a_line_in_the_log__g3(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    packed = open_folder(tmp_path / "file" / "below")
    with capture_logs() as logs:
        packed.put(make_adapter())
        assert packed.get(digest_of(0)) is None
    assert [log["event"] for log in logs] == ["packed_file_not_kept", "packed_file_unreadable"]


def test_a_digest_cannot_lead_out_of_the_folder__g5(tmp_path: Path) -> None:
    packed = open_folder(tmp_path)
    for digest in ("../../etc/passwd", "sha256:../x", "sha256:" + "A" * 64, ""):
        assert packed.file_of(digest).parent == tmp_path
