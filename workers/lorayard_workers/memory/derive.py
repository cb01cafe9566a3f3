"""Makes one adapter of several, for the policies that need a merged form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import AdapterFile, LoraPair, RawTensor
from lorayard_workers.engine.request import Composition, CompositionPolicy
from lorayard_workers.errors import RequestRefusedError
from lorayard_workers.memory.combining import Combiner, Update
from lorayard_workers.memory.packing import raw_to_tensor

_ANY_RANKS = frozenset({CompositionPolicy.PRIORITY, CompositionPolicy.SVD, CompositionPolicy.CAT})


def derive(
    composition: Composition,
    parts: Sequence[AdapterFile],
    modules: Sequence[str],
    pause: Callable[[], None] = lambda: None,
) -> AdapterFile:
    """The one adapter that a composition stands for; `parts` are its adapters in its order.

    `modules` are all that they may change, in the model's order: random masks depend on it. `pause` is
    called between two of them: whoever waits for this thread gets a turn. Raises RequestRefusedError for
    parts that the policy cannot merge.
    """
    if composition.policy is CompositionPolicy.PRIORITY:
        return _derived(parts, _first_of_each(composition, parts))
    _check_ranks(composition, parts)
    rank = composition.svd_rank or max(part.rank for part in parts)
    if composition.policy is CompositionPolicy.SVD:
        composition = replace(composition, svd_rank=rank)
    combiner = Combiner(composition)
    pairs: dict[str, LoraPair] = {}
    for name in modules:
        updates = _updates(composition, parts, name)
        if updates:
            a, b = combiner.combine(updates)
            pairs[name] = LoraPair(a=_raw(a), b=_raw(b), scale=1.0, embedding=_is_embedding(parts, name))
            pause()
    assert pairs.keys() == {name for part in parts for name in part.pairs}  # each part fits the model
    return _derived(parts, pairs)


def summable(adapter: AdapterFile) -> AdapterFile:
    """A part of a combination: nothing but A and B. Raises AdapterRefusedError."""
    for module, pair in adapter.pairs.items():
        for name, _ in pair.vectors:
            raise AdapterRefusedError(
                adapter.path,
                f"{module}: a {name} (DoRA, lora_bias) cannot be combined with other adapters",
                module=module,
            )
    return adapter


def _derived(parts: Sequence[AdapterFile], pairs: Mapping[str, LoraPair]) -> AdapterFile:
    size_bytes = sum(len(pair.a.data) + len(pair.b.data) for pair in pairs.values())
    names = "+".join(part.path.name for part in parts)
    return AdapterFile(path=Path(names), config=parts[0].config, pairs=pairs, size_bytes=size_bytes)


def _first_of_each(composition: Composition, parts: Sequence[AdapterFile]) -> dict[str, LoraPair]:
    pairs: dict[str, LoraPair] = {}
    for part, given in zip(parts, composition.parts, strict=True):
        for name, pair in part.pairs.items():
            pairs.setdefault(name, replace(pair, scale=pair.scale * given.weight))
    return pairs


def _check_ranks(composition: Composition, parts: Sequence[AdapterFile]) -> None:
    """Factors are merged value by value: they must be of one shape, and PEFT wants it even of those that
    never meet."""
    if composition.policy in _ANY_RANKS:
        return
    _refuse_unequal(composition, "their largest ranks", [part.rank for part in parts])
    for name in sorted({name for part in parts for name in part.pairs}):
        _refuse_unequal(composition, name, [part.pairs[name].rank for part in parts if name in part.pairs])


def _refuse_unequal(composition: Composition, where: str, ranks: Sequence[int]) -> None:
    if len(set(ranks)) > 1:
        raise RequestRefusedError(
            "bad_composition",
            f"{composition.policy} needs parts of equal rank, but {where} are "
            f"{', '.join(str(rank) for rank in ranks)}; sum, cat, svd and priority take any ranks",
            field="composition.parts",
        )


def _updates(composition: Composition, parts: Sequence[AdapterFile], name: str) -> list[Update]:
    return [
        Update(
            a=raw_to_tensor(pair.a).float(),
            b=raw_to_tensor(pair.b).float(),
            strength=pair.scale * given.weight,
        )
        for part, given in zip(parts, composition.parts, strict=True)
        if (pair := part.pairs.get(name)) is not None
    ]


def _is_embedding(parts: Sequence[AdapterFile], name: str) -> bool:
    return any(part.pairs[name].embedding for part in parts if name in part.pairs)


def _raw(tensor: Tensor) -> RawTensor:
    data = bytearray(tensor.contiguous().numpy().tobytes())
    return RawTensor(dtype="F32", shape=tuple(tensor.shape), data=memoryview(data))
