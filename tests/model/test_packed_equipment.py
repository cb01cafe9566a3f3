"""What a worker with a real model makes of the adapters it finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from structlog.testing import capture_logs

from lorayard_shared.errors import SettingsError
from lorayard_shared.settings import YardSettings
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.equipment import equip
from lorayard_workers.memory.quantized import Storage
from lorayard_workers.packed_equipment import engine_config, equip_packed
from lorayard_workers.settings import WorkerSettings
from lorayard_workers.tiny_model import make_tiny_adapter


def test_an_adapter_over_the_rank_limit_is_never_offered__b11(tiny_model: Path, tmp_path: Path) -> None:
    """It would be registered, routed to, and fail every job."""
    make_tiny_adapter(tmp_path / "a/b/c/1", seed=1, rank=4)
    make_tiny_adapter(tmp_path / "a/b/c/2", seed=2, rank=12)
    settings = WorkerSettings(
        model=str(tiny_model), adapters_dir=tmp_path, max_rank=8, rows=2, slots=2, threads=1
    )
    catalog = equip_packed(settings).catalog
    assert [entry.version for entry in catalog.entries] == ["1"]
    assert [entry.version for entry in catalog.broken] == ["2"]
    assert "12" in catalog.broken[0].reason


def test_the_models_tokenizer_is_at_hand_for_the_yard__e6(tiny_model: Path) -> None:
    settings = WorkerSettings(model=str(tiny_model), rows=2, slots=2, threads=1)
    assert equip_packed(settings).tokenizer == tiny_model / "tokenizer.json"
    assert (tiny_model / "tokenizer.json").is_file()


CHANGED: dict[str, Any] = {
    "slots": 3,
    "slot_bytes": 4_000_000,
    "max_rank": 24,
    "rows": 5,
    "context_tokens": 100,
    "kv_bytes": 1 << 21,
    "prefix_reuse": False,
    "deterministic": True,
    "host_bytes": 1 << 22,
    "wide_bytes": 7,
    "cache_dir": Path("/elsewhere"),
    "disk_bytes": 8,
    "adapter_storage": "int8",
    "json_schemas": False,
    "dtype": "fp32",
    "base_quantization": "int8",
    "screened_head": False,
    "device": "cpu",
    "models_dir": Path("/models"),
    "threads": 2,
}
"""Settings of the engine, each with a value that is not its default."""
OTHER_SETTINGS = frozenset(
    {"name", "model", "adapters_dir", "dedicated", "engine", "lookahead", "drain_seconds", "max_attempts"}
    | {"labels", "stall_seconds", "emergency", "emergency_after_seconds", "pulled_dir", "pulled_bytes"}
    | {"echo_delay_seconds", "echo_reply", "echo_load_seconds", "echo_disk_seconds", "echo_hangs_on"}
    | {"run_limit_seconds", "max_run_seconds", "recycle_jobs", "recycle_rss_bytes"}
    | {"adapters_scan_seconds", "retry_base_seconds", "retry_cap_seconds", "snooze_seconds"}
)
"""Of the worker around the engine, of what it works with, or of the echo engine."""
OTHER_NAMES = {"dtype": "precision", "cache_dir": "packed_dir", "models_dir": "costs_dir"}
NOT_FOR_OPERATORS = frozenset({"prefill_tokens", "ageing_seconds", "pinned"})


def changes_by(**given: Any) -> dict[str, Any]:
    """Fields of the engine's settings that are not what a worker without settings gives."""
    usual, changed = (engine_config(WorkerSettings(**one)) for one in ({}, given))
    names = [field.name for field in fields(EngineConfig)]
    return {name: getattr(changed, name) for name in names if getattr(changed, name) != getattr(usual, name)}


@pytest.mark.parametrize("name", CHANGED)
def test_every_setting_of_the_engine_reaches_it(name: str) -> None:
    found = changes_by(**{name: CHANGED[name]})
    if name == "models_dir":
        assert found.pop("packed_dir") == Path("/models/packed-adapters")
        assert found == {"costs_dir": Path("/models/lora-costs")}
    else:
        assert found == {OTHER_NAMES.get(name, name): CHANGED[name]}


def test_no_setting_is_forgotten_here_nor_one_that_the_engine_has() -> None:
    assert (
        WorkerSettings.model_fields.keys() - YardSettings.model_fields.keys() == set(CHANGED) | OTHER_SETTINGS
    )
    reached = {OTHER_NAMES.get(name, name) for name in CHANGED}
    assert {field.name for field in fields(EngineConfig)} == reached | NOT_FOR_OPERATORS


@pytest.fixture
def environment(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Of a small worker."""
    given = {"MODEL": tiny_model, "MODELS_DIR": tmp_path / "models", "ROWS": 2, "SLOTS": 2, "THREADS": 1}
    for name, value in given.items():
        monkeypatch.setenv(f"LORAYARD_{name}", str(value))
    return monkeypatch


def packed_folder() -> Any:
    """Of the engine that a worker makes of the environment."""
    engine: Any = equip_packed(WorkerSettings()).engine
    return engine._reader.packed, engine._reader.storage


def test_a_worker_keeps_packed_adapters_beside_its_models__c9(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packed, storage = packed_folder()
    assert (packed.path, packed.budget_bytes) == (tmp_path / "models/packed-adapters", 4 << 30)
    assert storage is Storage.MODEL
    assert packed.path.stat().st_mode & 0o777 == 0o700


def test_the_environment_says_where_and_how_adapters_are_kept__c9(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("LORAYARD_CACHE_DIR", str(tmp_path / "here"))
    environment.setenv("LORAYARD_DISK_BYTES", "12345")
    environment.setenv("LORAYARD_ADAPTER_STORAGE", "int8")
    packed, storage = packed_folder()
    assert (packed.path, packed.budget_bytes, storage) == (tmp_path / "here", 12345, Storage.INT8)
    environment.setenv("LORAYARD_DISK_BYTES", "0")
    assert packed_folder() == (None, Storage.INT8)


async def test_what_was_loaded_once_outlives_other_bytes_in_its_folder__d1_d6(
    environment: pytest.MonkeyPatch, tmp_path: Path, wait_until: Callable[..., Awaitable[None]]
) -> None:
    """A worker that watches its folder asks whether it can serve the old bytes on."""
    folder = make_tiny_adapter(tmp_path / "adapters/a/b/c/1", seed=1)
    environment.setenv("LORAYARD_ADAPTERS_DIR", str(tmp_path / "adapters"))
    equipment = equip_packed(WorkerSettings(json_schemas=False))
    engine: Any = equipment.engine
    (digest,) = equipment.folders
    assert not equipment.keeps(digest)
    engine.start()
    try:
        engine.prefetch(digest)
        await wait_until(lambda: equipment.keeps(digest))
    finally:
        engine.stop()
    make_tiny_adapter(folder, seed=2)
    assert engine._reader.read(digest).digest == digest


def test_a_folder_that_cannot_be_used_is_named_and_the_worker_serves_without__c9_g3(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("file", "file/below", "/proc/none"):
        environment.setenv("LORAYARD_CACHE_DIR", str(tmp_path / name))
        with capture_logs() as logs:
            assert packed_folder() == (None, Storage.MODEL)
        found = [log for log in logs if log["event"] == "packed_folder_unusable"]
        assert [log["path"] for log in found] == [str(tmp_path / name)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slot_bytes", 1),
        ("slot_bytes", 9 * 10**18),
        ("kv_bytes", 9 * 10**15),
        ("adapters_dir", Path("/nonexistent")),
        ("models_dir", Path("/proc/x")),
        pytest.param(
            "device",
            "cuda",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device"),
        ),
    ],
)
def test_what_the_machine_has_not_is_named_as_the_operator_wrote_it__g3(
    tiny_model: Path, name: str, value: Any
) -> None:
    model = "tiny" if name == "models_dir" else str(tiny_model)
    settings = WorkerSettings.model_validate({"model": model, "threads": 1, name: value})
    with pytest.raises(SettingsError) as caught:
        equip(settings)
    assert caught.value.setting == f"LORAYARD_{name.upper()}"
    assert str(value) in caught.value.reason
