"""Keeps transformers from importing what a worker never uses: half of the processor time of its start.

That is scipy and torch's tensors over several machines, which transformers does without where they are not
installed, and torch's compiler, which it takes for granted: for marks on functions that must not be
compiled, and for one class. Nothing is compiled here, so the marks may be lost. Whoever wants more of the
compiler than those, now or in a later transformers, gets the real one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"
_MASKS = f"{_COMPILER}._trace_wrapped_higher_order_op"
_ON_DEMAND = [f"{_COMPILER} on demand"]


def spare_imports() -> None:
    """To be called before transformers is imported; later it changes nothing."""
    if "transformers" not in sys.modules:
        sys.meta_path.insert(0, _Sparing())


class _Sparing(MetaPathFinder):
    """Finds nothing: it only hears what is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "transformers" and _COMPILER not in sys.modules:
            _stand_in_for_the_compiler()
        elif fullname.startswith("transformers."):
            known = sys.modules.get("transformers.utils")
            if hasattr(known, "is_scipy_available") and hasattr(known, "is_torch_distributed_available"):
                sys.meta_path.remove(self)
                _settle_what_is_missing(known)
        return None


def _settle_what_is_missing(known: Any) -> None:
    """transformers asks once whether it has a library, and remembers the answer."""
    distributed: Any = importlib.import_module("torch.distributed")
    has_distributed = distributed.is_available
    scipy = sys.modules.get("scipy")
    sys.modules["scipy"] = None  # type: ignore[assignment]  # how an import says that there is none
    distributed.is_available = lambda: False
    try:
        known.is_scipy_available()
        known.is_torch_distributed_available()
    finally:
        distributed.is_available = has_distributed
        del sys.modules["scipy"]
        if scipy is not None:
            sys.modules["scipy"] = scipy


def _stand_in_for_the_compiler() -> None:
    compiler, masks = _Compiler(_COMPILER), _StandIn(_MASKS)
    masks.TransformGetItemToIndex = _TransformGetItemToIndex
    for module in (compiler, masks):
        module.__spec__ = ModuleSpec(module.__name__, None)
        sys.modules[module.__name__] = module
    sys.meta_path.insert(0, _RealParts())


def _unmarked(function: Callable[..., object] | None = None, *_settings: object, **_more: object) -> Any:
    """A decorator, plain or with settings, that does nothing."""
    return _unmarked if function is None else function


class _StandIn(ModuleType):
    TransformGetItemToIndex: type

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # whoever looks at all modules wants nothing of this one
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


class _Compiler(_StandIn):
    __path__ = _ON_DEMAND
    disable = assume_constant_result = allow_in_graph = staticmethod(_unmarked)


class _TransformGetItemToIndex:
    """What transformers makes masks of models under that have shapes of their own."""

    def __new__(cls) -> Any:
        return _real(_MASKS).TransformGetItemToIndex()


class _RealParts(MetaPathFinder, Loader):
    """Finds a part of the compiler that is imported while something else stands for the whole."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if path is _ON_DEMAND else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _real(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """It has run."""


def _real(name: str) -> ModuleType:
    for stand_in in (_COMPILER, _MASKS):
        if isinstance(sys.modules.get(stand_in), _StandIn):
            del sys.modules[stand_in]
    return importlib.import_module(name)
