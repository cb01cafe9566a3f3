"""Adapters to pack, and what can befall a packed file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from lorayard_workers.memory.layout import GroupLayout
from lorayard_workers.memory.packing import GroupWeights, HostAdapter

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


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
