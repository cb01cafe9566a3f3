"""Messages that are nearly right: plausible ones of every kind, and ways to spoil them; all by a seed."""

from __future__ import annotations

import json
import random
import re
from functools import lru_cache
from typing import Any, TypeGuard

import msgpack

from lorayard_schemas.message import Message, Part
from lorayard_schemas.message_examples import EXAMPLES

MIB = 2**20
BIG_TEXT = "x" * MIB
BIG = 400
"""One odd value of so many is as long as a message may be."""

Tree = Any

PACKER: Any = msgpack
"""Of whose parts our own stub tells only what the code uses."""

_TEXTS = (
    *(
        "a",
        "1",
        "a/b/c",
        "a/b/c",
        "a/b/c",
        "a/b/c@1",
        "a/b/c@stable",
        "stable",
        "0" * 64,
        "0" * 32,
        "0" * 12,
        "sha256:" + "ab" * 32,
    ),
    *("base", "2026-11-22", "zone=a", "all-linear", "yard.jobs.normal.t._", "$JS.ACK.A.b.1.2.3.4.5"),
)
_IDS = ("0" * 16, "file-" + "0" * 26, "batch_" + "0" * 26)
_ODD_TEXTS = (
    "",
    " ",
    "\0",
    "\n",
    "a\n",
    "ü" * 9,
    "\ud800",
    "..",
    "*",
    ">",
    "a.b",
    "%ff",
    "NaN",
    "null",
    "\u202e",
)
_ODD_NUMBERS = (
    *(0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 10**30, -(10**30)),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, float("nan"), float("inf"), float("-inf")),
)
_ODD_TREES: tuple[Tree, ...] = (
    *([], {}, [[]], {"": {}}, [None] * 3, {"a": 1}, {1: 2}, {b"id": 1}, {None: 1}),
)
_BOMBS = (
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"),
    *(b"\xc9\xff\xff\xff\xff\x05", b"\xc7\x0c\xff" + b"\xff" * 12, b"\xc1", b"\x91" * 2000, b"[" * 2000),
    *(b'{"a":' * 1000, b"\xff\xfe", b"\xed\xa0\x80", b"1e99999", b"NaN", b"\xd6\xff\x00\x00\x00\x00"),
)


@lru_cache
def _schema(kind: type[Part]) -> Tree:
    return kind.model_json_schema(mode="validation")


@lru_cache
def _fitting(pattern: str) -> tuple[str, ...]:
    found = tuple(text for text in (*_TEXTS, *_IDS) if re.search(pattern, text))
    return found or ("a",)


class Spoiler:
    """A source of messages; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    # ---- what is right

    def plausible(self, kind: type[Message]) -> Tree:
        """A value that the kind would mostly read."""
        told = [example for _, example in EXAMPLES if type(example) is kind]
        if told and self.rng.random() < 0.7:
            dumped = self.rng.choice(told).model_dump(mode="json", exclude_none=True, exclude_unset=True)
            return {"v": 1, **dumped}
        schema = _schema(kind)
        return self._value(schema, schema.get("$defs", {}), 0)

    def _value(self, schema: Tree, defs: Tree, depth: int) -> Tree:
        if "$ref" in schema:
            return self._value(defs[schema["$ref"].rpartition("/")[2]], defs, depth)
        if "anyOf" in schema:
            return self._value(self.rng.choice(schema["anyOf"]), defs, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.rng.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                return self._map(schema, defs, depth)
            case "array":
                most = min(schema.get("maxItems", 2), 2) if depth < 4 else schema.get("minItems", 0)
                items = schema.get("prefixItems") or [schema.get("items", {})] * most
                return [self._value(item, defs, depth + 1) for item in items]
            case "string":
                texts = _fitting(schema["pattern"]) if "pattern" in schema else _TEXTS
                return self.rng.choice(texts)[: schema.get("maxLength", 999)]
            case "integer" | "number" as kind:
                low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
                number = min(low + self.rng.choice((0, 1, 3)), schema.get("maximum", 1e9))
                return int(number) if kind == "integer" else float(number)
            case "boolean":
                return self.rng.random() < 0.5
            case _:
                return None

    def _map(self, schema: Tree, defs: Tree, depth: int) -> Tree:
        needed = set(schema.get("required", ()))
        told: dict[str, Tree] = {
            name: self._value(inner, defs, depth + 1)
            for name, inner in schema.get("properties", {}).items()
            if name in needed or (depth < 4 and self.rng.random() < 0.6)
        }
        if is_map(more := schema.get("additionalProperties")) and depth < 4:
            key = self._value({"type": "string", **schema.get("propertyNames", {})}, defs, depth)
            told[key] = self._value(more, defs, depth + 1)
        return told

    # ---- what is wrong

    def odd(self) -> Tree:
        """A value that hardly anybody expects."""
        rng = self.rng
        match rng.randrange(9 if rng.randrange(BIG) else 10):
            case 0:
                return rng.choice((None, True, False))
            case 1 | 2:
                return rng.choice(_ODD_NUMBERS)
            case 3 | 4:
                return rng.choice(_ODD_TEXTS)
            case 5:
                return rng.choice(
                    (b"", b"\xff", b"\x00" * 9, PACKER.ExtType(5, b"x"), PACKER.Timestamp(1, 2))
                )
            case 6:
                return rng.choice(_ODD_TREES)
            case 7:
                return self._deep(rng.choice((3, 60, 250)))
            case 8:
                return rng.choice(_TEXTS) * rng.choice((1, 70, 300))
            case _:
                return rng.choice((BIG_TEXT, BIG_TEXT.encode(), [0] * 100_000, {BIG_TEXT: 1}))

    def _deep(self, depth: int) -> Tree:
        tree: Tree = 1
        for _ in range(depth):
            tree = {"id": tree} if depth % 2 else [tree]
        return tree

    def spoiled(self, value: Tree) -> Tree:
        """The value with one thing changed in it, at any depth."""
        rng = self.rng
        if not (is_map(value) or is_list(value)) or not value or rng.random() < 0.1:
            return self.odd()
        key: Tree = rng.choice(list(value) if is_map(value) else range(len(value)))
        spoiled: Tree = value.copy()
        match rng.randrange(8):
            case 0:
                del spoiled[key]
            case 1:
                spoiled[key] = self.odd()
            case 2 if is_map(value):
                spoiled[self.odd_key()] = spoiled[key]
            case 3:
                spoiled[key] = [spoiled[key]]
            case 4:
                spoiled[key] = str(spoiled[key])
            case _:
                spoiled[key] = self.spoiled(spoiled[key])
        return spoiled

    def odd_key(self) -> str:
        """The name of a field that nobody has."""
        return self.rng.choice((*_ODD_TEXTS, *_TEXTS, "k" * 300, "__class__", "model_config", "v"))

    # ---- as bytes

    def body(self, value: Tree) -> bytes:
        """The value after up to three changes, as JSON or msgpack, which may be damaged too."""
        rng = self.rng
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            value = self.spoiled(value)
        written = self._json(value) if rng.random() < 0.4 else self._msgpack(value)
        if rng.random() < 0.25:
            written = self.damaged(written)
        return written

    def _json(self, value: Tree) -> bytes:
        text = json.dumps(_jsonable(value), ensure_ascii=self.rng.random() < 0.5)
        if self.rng.random() < 0.1 and text.startswith('{"'):
            text = f'{{"id": {self.rng.choice(("1", "null", "[]"))}, "prompt": "first", {text[1:]}'
        return text.encode("utf-8", "surrogatepass")

    def _msgpack(self, value: Tree) -> bytes:
        written: bytes = PACKER.packb(_packable(value), unicode_errors="surrogatepass")
        if self.rng.random() < 0.1 and 0x81 <= written[0] < 0x8F:
            written = bytes([written[0] + 1]) + written[1:] + PACKER.packb("id") + PACKER.packb("twice")
        return written

    def damaged(self, whole: bytes) -> bytes:
        """Bytes changed, lost, cut off or put in."""
        rng = self.rng
        body = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(body)) if body else 0
            match rng.randrange(5):
                case 0:
                    body[at : at + 1] = rng.randbytes(1)
                case 1:
                    del body[at : at + rng.randint(1, 8)]
                case 2:
                    body[at:at] = rng.randbytes(rng.randint(1, 8))
                case 3:
                    body[at:at] = rng.choice(_BOMBS)
                case _:
                    del body[at:]
        return bytes(body)


def is_map(value: Tree) -> TypeGuard[dict[Tree, Tree]]:
    return isinstance(value, dict)


def is_list(value: Tree) -> TypeGuard[list[Tree]]:
    return isinstance(value, list)


def _jsonable(value: Tree) -> Tree:
    if is_map(value):
        return {_json_key(key): _jsonable(inner) for key, inner in value.items()}
    if is_list(value):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return "ext" if isinstance(value, PACKER.ExtType | PACKER.Timestamp) else value


def _json_key(key: Tree) -> Tree:
    return key.decode("latin-1") if isinstance(key, bytes) else key


def _packable(value: Tree) -> Tree:
    if is_map(value):
        return {key: _packable(inner) for key, inner in value.items()}
    if is_list(value):
        return [_packable(inner) for inner in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    return value
