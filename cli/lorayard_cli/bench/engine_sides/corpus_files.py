"""Broken adapter files: cut off, lying about themselves, not files at all, or leading elsewhere."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lorayard_cli.bench.engine_sides.corpus_configs import CONFIG_NAME, Claim
from lorayard_cli.bench.engine_sides.corpus_weights import WEIGHTS_NAME, key

_LENGTH_BYTES = 8  # of the header, which follows
_DAMAGED = Claim("is damaged")


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A spoiler that changes the weights' file."""

    def spoil(folder: Path) -> None:
        path = folder / WEIGHTS_NAME
        path.write_bytes(change(path.read_bytes()))

    return spoil


def _header(change: Callable[[str], str]) -> Callable[[Path], None]:
    """A spoiler that rewrites the header and keeps its length true."""

    def rewrite(data: bytes) -> bytes:
        start = _LENGTH_BYTES + struct.unpack("<Q", data[:_LENGTH_BYTES])[0]
        header = change(data[_LENGTH_BYTES:start].decode()).encode()
        return struct.pack("<Q", len(header)) + header + data[start:]

    return _bytes(rewrite)


def _length(value: int) -> Callable[[Path], None]:
    return _bytes(lambda data: struct.pack("<q", value) + data[_LENGTH_BYTES:])


def _entries(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def rewrite(header: str) -> str:
        entries: dict[str, Any] = json.loads(header)
        change(entries)
        return json.dumps(entries)

    return _header(rewrite)


def _twice(header: str) -> str:
    """The first tensor's name a second time, as its own entry."""
    entry = json.dumps(json.loads(header)[key("A")])
    return header.rstrip().removesuffix("}") + f', "{key("A")}": {entry}}}'


class _Bomb:
    """Ends the process when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os._exit, (9,))


def _pickled(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / WEIGHTS_NAME).unlink()
        (folder / name).write_bytes(pickle.dumps(_Bomb()))

    return spoil


def _instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A spoiler that puts something else in a file's place."""

    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return spoil


def _beside(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: make(folder / name)


def _huge(folder: Path) -> None:
    with (folder / WEIGHTS_NAME).open("r+b") as file:
        file.truncate(1 << 40)  # sparse: takes no room


def _link_outside(folder: Path) -> None:
    """The weights are sound, but lie outside the root: `root/bad/tiny/{task}/1` and up to its neighbour."""
    outside = Path(f"{folder.parents[3]}-outside")
    outside.mkdir(exist_ok=True)
    (folder / WEIGHTS_NAME).rename(outside / WEIGHTS_NAME)
    (folder / WEIGHTS_NAME).symlink_to(outside / WEIGHTS_NAME)


def _folder_outside(folder: Path) -> None:
    outside = Path(f"{folder.parents[3]}-elsewhere")
    shutil.move(folder, outside)
    folder.symlink_to(outside)


def _link_in_circles(folder: Path) -> None:
    (folder / WEIGHTS_NAME).unlink()
    (folder / WEIGHTS_NAME).symlink_to(WEIGHTS_NAME)


OUTSIDE: frozenset[Callable[[Path], object]] = frozenset({_link_outside, _folder_outside})
"""Sound in themselves: only who knows the root can refuse them."""

_NO_CONFIG = Claim(rf"{CONFIG_NAME}.*(missing|not a (regular )?file)")
_NO_WEIGHTS = Claim(rf"{WEIGHTS_NAME}.*(missing|not a (regular )?file)")

FILES: Mapping[str, tuple[Callable[[Path], object], Claim]] = {
    "empty-file": (_bytes(lambda _: b""), _DAMAGED),
    "cut-in-the-length": (_bytes(lambda data: data[:5]), _DAMAGED),
    "cut-in-the-header": (_bytes(lambda data: data[:500]), _DAMAGED),
    "cut-after-the-header": (
        _bytes(lambda data: data[: _LENGTH_BYTES + struct.unpack("<Q", data[:_LENGTH_BYTES])[0]]),
        _DAMAGED,
    ),
    "cut-in-the-middle": (_bytes(lambda data: data[: len(data) // 2]), _DAMAGED),
    "cut-before-the-end": (_bytes(lambda data: data[:-1]), _DAMAGED),
    "something-behind-the-end": (_bytes(lambda data: data + b"x"), _DAMAGED),
    "a-header-beyond-the-file": (_length(1 << 62), _DAMAGED),
    "a-header-of-negative-length": (_length(-1), _DAMAGED),
    "a-header-of-no-length": (_length(0), _DAMAGED),
    "a-header-one-too-long": (
        _bytes(
            lambda data: struct.pack("<Q", struct.unpack("<Q", data[:8])[0] + 1) + data[_LENGTH_BYTES:],
        ),
        _DAMAGED,
    ),
    "a-header-not-utf-8": (_bytes(lambda data: data[:9] + b"\xff\xfe" + data[11:]), _DAMAGED),
    "a-header-nested-deeply": (_header(lambda _: '{"a":' + "[" * 50_000 + "]" * 50_000 + "}"), _DAMAGED),
    "overlapping-offsets": (
        _entries(lambda held: held[key("A")].update(data_offsets=held[key("B")]["data_offsets"])),
        _DAMAGED,
    ),
    "offsets-backwards": (_entries(lambda held: held[key("A")]["data_offsets"].reverse()), _DAMAGED),
    "a-shape-that-overflows": (_entries(lambda held: held[key("A")].update(shape=[2**63, 4])), _DAMAGED),
    "a-negative-shape": (_entries(lambda held: held[key("A")].update(shape=[-4, 128])), _DAMAGED),
    "a-name-twice": (_header(_twice), Claim("twice|duplicate")),
    "a-zip-archive": (_bytes(lambda data: b"PK\x03\x04" + data), _DAMAGED),
    "a-file-of-a-terabyte": (_huge, Claim("1099511627776 bytes, more than")),
    "pickle-bin": (_pickled("adapter_model.bin"), Claim("adapter_model.bin is a pickle")),
    "pickle-pt": (_pickled("adapter_model.pt"), Claim("adapter_model.pt is a pickle")),
    "no-config": (lambda folder: (folder / CONFIG_NAME).unlink(), _NO_CONFIG),
    "no-weights": (lambda folder: (folder / WEIGHTS_NAME).unlink(), _NO_WEIGHTS),
    "config-a-folder": (_instead(CONFIG_NAME, Path.mkdir), _NO_CONFIG),
    "weights-a-folder": (_instead(WEIGHTS_NAME, Path.mkdir), _NO_WEIGHTS),
    "config-a-pipe": (_instead(CONFIG_NAME, os.mkfifo), _NO_CONFIG),
    "weights-a-pipe": (_instead(WEIGHTS_NAME, os.mkfifo), _NO_WEIGHTS),
    "template-a-pipe": (_beside("prompt_template.txt", os.mkfifo), Claim("prompt_template.txt")),
    "template-without-a-place": (
        _beside("prompt_template.txt", lambda path: path.write_text("no place")),
        Claim("0 times, not once"),
    ),
    "weights-outside-the-root": (_link_outside, Claim("leads outside the root")),
    "folder-outside-the-root": (_folder_outside, Claim("leads outside the root")),
    "weights-a-link-to-itself": (_link_in_circles, Claim("links|loop")),
}
"""Name -> how to break a sound folder, and what the refusal must say."""
