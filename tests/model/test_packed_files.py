"""Packed files: what was written is what is read, and nothing else is."""

from __future__ import annotations

import json
import os
import resource
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from structlog.testing import capture_logs
from torch import Tensor

from lorayard_workers.errors import PackedFileError
from lorayard_workers.memory.index import index, restore
from lorayard_workers.memory.layout import GroupLayout
from lorayard_workers.memory.packed_file import PackedFile, compose_packed, open_packed
from lorayard_workers.memory.packed_folder import PackedFolder, owner_of
from lorayard_workers.memory.packing import GroupWeights, HostAdapter
from lorayard_workers.memory.quantized import Storage, quantize_adapter

LAYOUTS = (
    GroupLayout(members=("q", "k"), in_features=6, out_features=(4, 2)),
    GroupLayout(members=("o",), in_features=4, out_features=(6,)),
)
SHAPES = st.lists(st.none() | st.lists(st.integers(1, 9), min_size=1, max_size=3), max_size=4)
TYPES = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])


def digest_of(number: int) -> str:
    return f"sha256:{number:064x}"


def make_adapter(
    number: int = 0,
    outs: list[list[int] | None] | None = None,
    *,
    rank: int = 8,
    dtype: torch.dtype = torch.bfloat16,
) -> HostAdapter:
    """Random weights; `outs` are the widths of each group's members, None a group left alone."""
    generator = torch.Generator().manual_seed(number)

    def tensor(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    groups = tuple(
        None
        if widths is None
        else GroupWeights(a=tensor(rank, len(widths), 5), b=tuple(tensor(rank, width) for width in widths))
        for widths in ([[4, 2], None, [6]] if outs is None else outs)
    )
    size = sum(t.numel() * t.element_size() for g in groups if g is not None for t in (g.a, *g.b))
    return HostAdapter(digest=digest_of(number), rank=rank, groups=groups, size_bytes=size)


def assert_same(found: HostAdapter | None, wanted: HostAdapter) -> None:
    assert found is not None
    assert (found.digest, found.rank, found.size_bytes) == (wanted.digest, wanted.rank, wanted.size_bytes)
    assert found.sums == wanted.sums
    for left, right in zip(found.groups, wanted.groups, strict=True):
        assert (left is None) == (right is None)
        if left is not None and right is not None:
            for one, other in zip((left.a, *left.b), (right.a, *right.b), strict=True):
                assert one.dtype == other.dtype
                assert torch.equal(one, other)


@pytest.mark.parametrize("storage", Storage)
def test_what_is_no_plain_sum_is_none_when_it_comes_back__c8(tmp_path: Path, storage: Storage) -> None:
    """Known without restoring any group: rows wait for the engine's thread, which asks."""
    adapter = replace(make_adapter(), sums=False)
    adapter = quantize_adapter(adapter) if storage is Storage.INT8 else adapter
    folder = PackedFolder(path=tmp_path, budget_bytes=1 << 20, owner="me")
    folder.put(adapter)
    assert_same(folder.get(adapter.digest), adapter)
    assert not adapter.sums


@settings(deadline=None)
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


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


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def stub(path: Path) -> None:
    path.write_bytes(b"\x05\0\0\0\0\0\0\0[")


def no_header(path: Path) -> None:
    path.write_bytes(b"\x02\0\0\0\0\0\0\0[]")


def huge_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:])


def flip(position: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        path.write_bytes(data)

    change.__name__ = f"flip {position}"  # the test's id
    return change


def lend(path: Path) -> None:
    path.chmod(0o666)


def link(path: Path) -> None:
    path.symlink_to(path.rename(path.parent / "elsewhere"))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """Opening it as a file is opened waits for ever."""
    path.unlink()
    os.mkfifo(path, 0o600)


def local_socket(path: Path) -> None:
    path.unlink()
    os.mknod(path, stat.S_IFSOCK | 0o600)  # bound to, its path would be too long


DAMAGES = [
    *(cut, grow, empty, stub, no_header, huge_header, flip(0), flip(40), flip(-1), lend, link, folder),
    *(pipe, local_socket),
]


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


# --- the folder


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


@settings(deadline=None)  # files on a shared machine
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
