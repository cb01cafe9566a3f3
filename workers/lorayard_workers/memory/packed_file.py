"""One packed adapter as a file: disk to host memory is then a memory map and a few hundred views.

A safetensors file with one flat tensor for each type of value; its metadata holds the index, what the file
belongs to, and a SHA-256 over everything else. Written beside its place and renamed, never changed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lorayard_workers.errors import PackedFileError
from lorayard_workers.memory.index import index, restore, section_type
from lorayard_workers.memory.packing import HostAdapter

FORMAT = "lorayard-packed-2"
"""Changes with anything that gives the same adapter another content: the form, the packing, the rounding."""

_ALIGNMENT = 64
"""A cache line: vector loads of the first values stay within one."""
_MAX_HEADER_BYTES = 1 << 24
"""An index has 40 bytes per tensor: 400,000 tensors."""
_SAFETENSORS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8"}
_READABLE_BY_ME = 0o400
TEMPORARY_PREFIX = ".writing-"
"""Of files that are not whole yet."""


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as the file system knows it: the same state is the same content."""

    inode: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """The bytes of a file that is not written yet."""

    header: bytes
    sections: tuple[memoryview, ...]

    @property
    def size_bytes(self) -> int:
        """Of the whole file."""
        return len(self.header) + sum(len(section) for section in self.sections)

    def write(self, path: Path) -> None:
        """Put it at `path`, whole or not at all. Raises OSError."""
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines((self.header, *self.sections))
                file.flush()
                os.fchmod(handle, _READABLE_BY_ME)
                os.fsync(handle)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def compose_packed(adapter: HostAdapter, owner: str) -> PackedFile:
    """What to write for an adapter; `owner` says what the content belongs to besides the adapter.

    Raises TypeError for a kind of adapter that has no form in a file.
    """
    indexed = index(adapter)
    metadata = {"format": FORMAT, "digest": adapter.digest, "owner": owner, "index": _dump(indexed.tree)}
    header: dict[str, Any] = {"__metadata__": metadata}
    sections: list[memoryview] = []
    start = 0
    for name, tensor in indexed.sections.items():
        data = tensor.view(torch.uint8).numpy().data
        stop = start + len(data)
        header[name] = {
            "dtype": _SAFETENSORS[name],
            "shape": [tensor.numel()],
            "data_offsets": [start, stop],
        }
        sections.append(data)
        start = stop
    metadata["sha256"] = _hash(header, *sections)
    text = _dump(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return PackedFile(header=len(text).to_bytes(8, "little") + text, sections=tuple(sections))


def open_packed(
    path: Path, digest: str, owner: str, *, verified: FileState | None = None
) -> tuple[HostAdapter, FileState]:
    """The adapter in a file, mapped copy-on-write, and the state the file was seen in.

    The content is hashed unless the file is still in the state `verified`; either way all of it has been read
    on return, so that a copy into a slot need not wait for the disk. Raises FileNotFoundError, or
    PackedFileError for a file that is damaged, belongs to something else, or could be changed by others.
    """
    mapped, state = _map(path)
    try:
        header, start = _header(mapped)
        adapter = _read(header, mapped, start, digest, owner, check=state != verified)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise PackedFileError(path, f"{type(error).__name__}: {error}") from error
    return adapter, state


def _map(path: Path) -> tuple[mmap.mmap, FileState]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PackedFileError(path, "it is a link") from None
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise PackedFileError(path, "it is no plain file")
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PackedFileError(path, "others than this process's user may write to it")
        if status.st_size == 0:
            raise PackedFileError(path, "it is empty")
        state = FileState(status.st_ino, status.st_size, status.st_mtime_ns)
        return mmap.mmap(handle, 0, access=mmap.ACCESS_COPY), state
    except OSError as error:
        raise PackedFileError(path, str(error)) from error
    finally:
        os.close(handle)


def _header(mapped: mmap.mmap) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(mapped[:8], "little")
    if length > min(_MAX_HEADER_BYTES, len(mapped) - 8):
        raise ValueError(f"a header of {length} bytes in a file of {len(mapped)}")
    header: dict[str, Any] = json.loads(mapped[8 : 8 + length])
    return header, 8 + length


def _read(
    header: dict[str, Any], mapped: mmap.mmap, start: int, digest: str, owner: str, *, check: bool
) -> HostAdapter:
    metadata = header["__metadata__"]
    wanted = metadata.pop("sha256")
    for name, mine in (("format", FORMAT), ("digest", digest), ("owner", owner)):
        if metadata[name] != mine:
            raise ValueError(f"its {name} is {metadata[name]!r:.100}, not {mine!r}")
    if not check:
        _read_in(mapped)
    elif _hash(header, memoryview(mapped)[start:]) != wanted:
        raise ValueError("its content is not what was written")
    del header["__metadata__"]
    sections = {name: _section(name, entry, mapped, start) for name, entry in header.items()}
    return restore(json.loads(metadata["index"]), sections)


def _section(name: str, entry: Mapping[str, Any], mapped: mmap.mmap, start: int) -> Tensor:
    first, stop = entry["data_offsets"]
    kind = section_type(name)
    count, rest = divmod(stop - first, kind.itemsize)
    if rest or start + stop > len(mapped) or first < 0:
        raise ValueError(f"section {name} lies at {first}-{stop} of {len(mapped) - start} bytes")
    return torch.frombuffer(mapped, dtype=kind, count=count, offset=start + first)


def _read_in(mapped: mmap.mmap) -> None:
    """A byte of each page. By torch: it lets other threads run meanwhile, which `mmap.madvise` does not."""
    torch.frombuffer(mapped, dtype=torch.uint8)[:: mmap.PAGESIZE].sum()


def _hash(header: Mapping[str, Any], *data: memoryview) -> str:
    digest = hashlib.sha256(_dump(header, ordered=True).encode())
    for part in data:
        digest.update(part)
    return digest.hexdigest()


def _dump(value: object, *, ordered: bool = False) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=ordered)
