"""Reads a PEFT LoRA folder into memory without executing anything from it.

The weights are read once into bytes and judged there: nothing that happens to the file afterwards
(a writer, a truncation under a memory map) can change what was checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lorayard_shared.adapters.config import AdapterConfig, read_config
from lorayard_shared.adapters.errors import AdapterRefusedError, no_folder
from lorayard_shared.adapters.patterns import check_lookups
from lorayard_shared.adapters.plain_file import read_plain_file
from lorayard_shared.adapters.prompt_template import read_prompt_template
from lorayard_shared.adapters.tensor_table import (
    ITEM_BYTES,
    TableError,
    TensorEntry,
    TwinError,
    tensor_table,
)

WEIGHTS_NAME = "adapter_model.safetensors"
MAX_WEIGHTS_BYTES = 1 << 30
"""Rank 64 on all linears of a 70B model is 1.6 GB in bf16; of an 8B model 336 MB. A worker for larger
ones raises the limit knowingly."""

MAX_NAME_CHARACTERS = 512
"""Of a tensor: the longest in use have about 120. Names are matched, kept and put into messages."""

MAX_TENSORS = 65_536
"""An 80-layer model with LoRA and a bias on every linear has 1680, a mixture of 128 experts 60 times more."""

_CONVERT = (
    "load it once where you trust it and save it again with "
    "PeftModel.save_pretrained(..., safe_serialization=True)"
)
_TENSOR_NAME = re.compile(
    r"base_model\.model\.(?P<module>.+)\.lora_"
    r"(?:(?P<side>[AB])\.weight|embedding_(?P<embedding_side>[AB])"
    r"|(?P<magnitude>magnitude_vector)(?:\.weight)?|(?P<bias>B\.bias))"
)
_BROUGHT_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.base_layer\.weight")
_FOREIGN_PARTS = {
    "lora_embedding_": "not named as PEFT names LoRA on embeddings",
    "modules_to_save": "fully trained modules are not supported",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTensor:
    """A tensor as it stood in the file: `dtype` in safetensors' spelling, data little-endian.

    `data` may be written to, for libraries that ask that of what they read; nobody does.
    """

    dtype: str
    shape: tuple[int, ...]
    data: memoryview
    start: int | None = None  # in the bytes of the whole file; None: it has memory of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPair:
    """One module's update: B·A times `scale`; A is [rank, in], B is [out, rank]."""

    a: RawTensor
    b: RawTensor
    scale: float
    embedding: bool = False  # tokens look up columns of A, nothing is multiplied
    magnitude: RawTensor | None = None  # DoRA: the length that each output's weights are given, [out]
    bias: RawTensor | None = None  # added to B·(A·x) before scaling, [out]

    @property
    def vectors(self) -> tuple[tuple[str, RawTensor], ...]:
        """What it has beyond A and B, by name."""
        found = (("magnitude", self.magnitude), ("bias", self.bias))
        return tuple((name, tensor) for name, tensor in found if tensor is not None)

    @property
    def tensors(self) -> tuple[RawTensor, ...]:
        """All of it."""
        return self.a, self.b, *(tensor for _, tensor in self.vectors)

    @property
    def rank(self) -> int:
        """Inner width of the update."""
        return self.a.shape[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFile:
    """A readable adapter: configuration and weights that agree with each other."""

    path: Path
    config: AdapterConfig
    pairs: Mapping[str, LoraPair]  # module name -> update, sorted by name
    size_bytes: int
    prompt_template: str | None = None
    data: memoryview = field(default_factory=lambda: memoryview(b""))  # the whole file
    brought: Mapping[str, RawTensor] = field(default_factory=dict[str, RawTensor])
    """Module name -> what claims to be the base model's own weight; to be compared with it before use."""

    @property
    def rank(self) -> int:
        """The largest rank of any module."""
        return max(pair.rank for pair in self.pairs.values())

    def runs(self, tensors: Iterable[RawTensor]) -> Iterator[memoryview]:
        """Their bytes in this order, neighbours in the file in one piece.

        One call for a whole file: between two calls for small pieces the interpreter's lock is taken and
        given back, and running rows wait for it each time.
        """
        first = stop = -1
        for tensor in tensors:
            if tensor.start != stop or tensor.start is None:
                if first >= 0:
                    yield self.data[first:stop]
                first = stop = -1
            if tensor.start is None:
                yield tensor.data
            else:
                first = tensor.start if first < 0 else first
                stop = tensor.start + len(tensor.data)
        if first >= 0:
            yield self.data[first:stop]

    @property
    def targets(self) -> tuple[str, ...]:
        """The last names of the modules it changes, sorted."""
        return tuple(sorted({module.rpartition(".")[2] for module in self.pairs}))


def read_adapter(folder: Path, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> AdapterFile:
    """Read an adapter folder. Raises AdapterRefusedError, naming what is wrong and where."""
    if not folder.is_dir():
        raise no_folder(folder)
    config = read_config(folder)
    data = _read_weights(folder, max_bytes)
    table = parse_table(folder, data, len(data))
    tensors = {name: _raw(folder, name, entry, data) for name, entry in table.items()}
    pairs, brought = pair_tensors(folder, config, tensors)
    return AdapterFile(
        path=folder,
        config=config,
        pairs=pairs,
        brought=brought,
        size_bytes=len(data),
        data=data,
        prompt_template=read_prompt_template(folder),
    )


def _read_weights(folder: Path, max_bytes: int) -> memoryview:
    try:
        return read_plain_file(folder, WEIGHTS_NAME, max_bytes)
    except FileNotFoundError:
        raise AdapterRefusedError(folder, why_no_weights(folder)) from None


def why_no_weights(folder: Path) -> str:
    """What to say of a folder without the weights' file."""
    for pattern in ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt"):
        for found in sorted(folder.glob(pattern)):
            return (
                f"{found.name} is a pickle, which can run code when loaded; only {WEIGHTS_NAME} "
                f"is read: {_CONVERT}"
            )
    return f"{WEIGHTS_NAME} is missing"


def pair_tensors(
    folder: Path, config: AdapterConfig, tensors: dict[str, RawTensor]
) -> tuple[dict[str, LoraPair], dict[str, RawTensor]]:
    """Module name -> update, sorted by name, and what base weights come along. Raises AdapterRefusedError."""
    brought = _take_brought(tensors)
    pairs = _pair(folder, config, tensors)
    for module in brought:
        if module not in pairs:
            raise AdapterRefusedError(
                folder, f"{module}: brings a base weight of a module that it does not change", module=module
            )
    return pairs, brought


def parse_table(folder: Path, head: memoryview, size_bytes: int) -> dict[str, TensorEntry]:
    """Where the tensors of the weights' file lie; `head` reaches to its header's end at least.

    Raises AdapterRefusedError.
    """
    try:
        table = tensor_table(head, size_bytes)
    except TwinError as error:
        raise AdapterRefusedError(folder, f"{WEIGHTS_NAME} {error}", module=error.name[:200]) from None
    except TableError as error:
        raise AdapterRefusedError(
            folder, f"{WEIGHTS_NAME} is damaged ({size_bytes} bytes): {error!s:.250}"
        ) from None
    _refuse_crowds(folder, table)
    return table


def _refuse_crowds(folder: Path, names: Mapping[str, TensorEntry]) -> None:
    """What follows works with each name, however often and long they are."""
    if len(names) > MAX_TENSORS:
        raise AdapterRefusedError(
            folder, f"{WEIGHTS_NAME} holds {len(names)} tensors, more than {MAX_TENSORS}"
        )
    for name in names:
        if len(name) > MAX_NAME_CHARACTERS:
            cut = name[:80]
            raise AdapterRefusedError(
                folder,
                f"{cut}...: a tensor's name of {len(name)} characters, more than {MAX_NAME_CHARACTERS}",
                module=cut,
            )


def check_type(folder: Path, name: str, entry: TensorEntry) -> None:
    """Its type is one that adapters have. Raises AdapterRefusedError."""
    if entry.dtype not in ITEM_BYTES:
        known = ", ".join(ITEM_BYTES)
        raise AdapterRefusedError(folder, f"{name}: type {entry.dtype:.20}, not one of {known}", module=name)


def _raw(folder: Path, name: str, entry: TensorEntry, data: memoryview) -> RawTensor:
    check_type(folder, name, entry)
    part = data[entry.start : entry.stop]
    if entry.start % ITEM_BYTES[entry.dtype]:  # between two addresses of its type
        return RawTensor(dtype=entry.dtype, shape=entry.shape, data=memoryview(bytearray(part)))
    return RawTensor(dtype=entry.dtype, shape=entry.shape, data=part, start=entry.start)


def _shown(shape: tuple[int, ...]) -> str:
    """For a message: a file may claim any number of axes."""
    return str(list(shape)) if len(shape) <= 8 else f"[{', '.join(map(str, shape[:8]))}, ...]"


def _pair(folder: Path, config: AdapterConfig, tensors: Mapping[str, RawTensor]) -> dict[str, LoraPair]:
    sides: dict[str, dict[str, RawTensor]] = {}
    embeddings: set[str] = set()
    for name, tensor in tensors.items():
        match = _TENSOR_NAME.fullmatch(name)
        if match is None:
            raise AdapterRefusedError(folder, _why_unknown(name), module=name)
        side = match["side"] or match["embedding_side"] or match["magnitude"] or "bias"
        if match["embedding_side"]:
            embeddings.add(match["module"])
        if side in sides.setdefault(match["module"], {}):
            raise AdapterRefusedError(folder, f"{name}: a second lora_{side} of its module", module=name)
        sides[match["module"]][side] = tensor
    if not sides:
        raise AdapterRefusedError(folder, f"{WEIGHTS_NAME} holds no tensors")
    try:
        check_lookups("rank_pattern, alpha_pattern", [*config.rank_pattern, *config.alpha_pattern], sides)
    except ValueError as error:
        raise AdapterRefusedError(folder, f"adapter_config.json: {error}") from None
    return {
        module: _checked_pair(folder, config, module, sides[module], embedding=module in embeddings)
        for module in sorted(sides)
    }


def _take_brought(tensors: dict[str, RawTensor]) -> dict[str, RawTensor]:
    """Base weights, taken out of the tensors: module name -> weight."""
    matches = [match for name in tensors if (match := _BROUGHT_NAME.fullmatch(name))]
    return {match["module"]: tensors.pop(match[0]) for match in matches}


def _why_unknown(name: str) -> str:
    for part, reason in _FOREIGN_PARTS.items():
        if part in name:
            return f"{name}: {reason}"
    return f"{name}: not a LoRA tensor (base_model.model.<module>.lora_A.weight or lora_B)"


def _checked_pair(
    folder: Path, config: AdapterConfig, module: str, sides: Mapping[str, RawTensor], *, embedding: bool
) -> LoraPair:
    for side in "AB":
        if side not in sides:
            raise AdapterRefusedError(folder, f"{module}: lora_{side} is missing", module=module)
        if len(sides[side].shape) != 2:
            shape = _shown(sides[side].shape)
            raise AdapterRefusedError(
                folder, f"{module}: lora_{side} has shape {shape}, not two axes", module=module
            )
    a, b = sides["A"], sides["B"]
    declared = config.rank_of(module)
    if a.shape[0] != declared or b.shape[1] != declared:
        raise AdapterRefusedError(
            folder,
            f"{module}: adapter_config.json says rank {declared}, but lora_A is {list(a.shape)} "
            f"and lora_B is {list(b.shape)}",
            module=module,
        )
    return LoraPair(
        a=a,
        b=b,
        scale=config.scale_of(module),
        embedding=embedding,
        magnitude=_vector(folder, module, sides, "magnitude_vector", setting="use_dora", on=config.use_dora),
        bias=_vector(folder, module, sides, "bias", setting="lora_bias", on=config.lora_bias),
    )


def _vector(
    folder: Path, module: str, sides: Mapping[str, RawTensor], name: str, *, setting: str, on: bool
) -> RawTensor | None:
    """A value for each output, there if and only if its setting says so."""
    found = sides.get(name)
    if (found is not None) != on:
        there = "comes along" if found is not None else "is missing"
        raise AdapterRefusedError(
            folder,
            f"{module}: {setting} is {'true' if on else 'false'}, but its lora {name} {there}",
            module=module,
        )
    if found is not None and found.shape != (sides["B"].shape[0],):
        raise AdapterRefusedError(
            folder,
            f"{module}: lora {name} has shape {_shown(found.shape)}, not [{sides['B'].shape[0]}]",
            module=module,
        )
    return found
