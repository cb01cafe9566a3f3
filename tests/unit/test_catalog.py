"""Finding adapters in a folder tree: a broken one never hides the others (G3, G5)."""

from __future__ import annotations

import os
from collections import UserDict
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lorayard_workers.adapters.catalog import CatalogScanner
from lorayard_workers.tiny_model import TINY_SHAPES, make_tiny_adapter


def test_entries_come_with_what_a_registry_needs(tmp_path: Path) -> None:
    make_tiny_adapter(tmp_path / "acme/tiny/summary/1", seed=1, rank=4, targets=("q_proj", "v_proj"))
    (entry,) = CatalogScanner(root=tmp_path, shapes=TINY_SHAPES).scan().entries
    assert (entry.name, entry.version, entry.rank, entry.alpha) == ("acme/tiny/summary", "1", 4, 16.0)
    assert entry.targets == ("q_proj", "v_proj")
    assert entry.digest.startswith("sha256:")
    assert entry.size_bytes == (entry.path / "adapter_model.safetensors").stat().st_size
    assert entry.base_model_name_or_path == "tiny"


def test_versions_are_in_natural_order(tmp_path: Path) -> None:
    for seed, version in enumerate(("10", "2", "v1.10", "v1.9", "1")):
        make_tiny_adapter(tmp_path / "a/b/c" / version, seed=seed, rank=1)
    versions = [entry.version for entry in CatalogScanner(root=tmp_path).scan().entries]
    assert versions == ["1", "2", "10", "v1.9", "v1.10"]


@pytest.mark.parametrize("version", ["²", "٣", "v²", "1²"])
def test_a_digit_elsewhere_in_unicode_hides_nothing__g3(tmp_path: Path, version: str) -> None:
    for seed, name in enumerate(("1", version)):
        make_tiny_adapter(tmp_path / "a/b/c" / name, seed=seed, rank=1)
    assert {entry.version for entry in CatalogScanner(root=tmp_path).scan().entries} == {"1", version}


def test_broken_folders_are_listed_with_reasons_beside_sound_ones__g3(tmp_path: Path) -> None:
    make_tiny_adapter(tmp_path / "a/b/c/1", seed=1)
    make_tiny_adapter(tmp_path / "a/b/c/2", seed=2)
    (tmp_path / "a/b/c/2/adapter_model.safetensors").write_bytes(b"no")
    (tmp_path / "a/b/d/1").mkdir(parents=True)
    catalog = CatalogScanner(root=tmp_path).scan()
    assert [entry.version for entry in catalog.entries] == ["1"]
    assert [(b.name, b.version) for b in catalog.broken] == [("a/b/c", "2"), ("a/b/d", "1")]
    assert "damaged" in catalog.broken[0].reason
    assert "adapter_config.json is missing" in catalog.broken[1].reason


class _Unjudgeable(UserDict[str, tuple[int, int]]):
    """Shapes that fail as a parser might: with an error that nobody foresaw."""

    def __getitem__(self, key: str) -> tuple[int, int]:
        raise RecursionError(f"no shape of {key}")


def test_a_folder_that_fails_in_an_unforeseen_way_hides_no_other__g3_g5(tmp_path: Path) -> None:
    make_tiny_adapter(tmp_path / "a/b/c/1", seed=1)
    (tmp_path / "a/b/d/1").mkdir(parents=True)
    with capture_logs() as logs:
        catalog = CatalogScanner(root=tmp_path, shapes=_Unjudgeable(TINY_SHAPES)).scan()
    assert "cannot be judged: RecursionError: no shape of" in catalog.broken[0].reason
    assert "adapter_config.json is missing" in catalog.broken[1].reason
    assert [log["path"] for log in logs if log["event"] == "adapter_not_judged"] == [
        str(tmp_path / "a/b/c/1")
    ]


def test_a_rank_over_the_limit_is_listed_with_both_numbers__b11(tmp_path: Path) -> None:
    """Registered, each of its jobs would be taken only to fail."""
    make_tiny_adapter(tmp_path / "a/b/c/1", seed=1, rank=16)
    make_tiny_adapter(tmp_path / "a/b/c/2", seed=2, rank=24)
    catalog = CatalogScanner(root=tmp_path, max_rank=16).scan()
    assert [entry.version for entry in catalog.entries] == ["1"]
    (broken,) = catalog.broken
    assert "needs 24" in broken.reason
    assert "max_rank is 16" in broken.reason


def test_a_name_that_is_not_utf8_can_still_be_told__g3(tmp_path: Path) -> None:
    """A log line or an advert that cannot be encoded would end the worker, not the folder."""
    folder = tmp_path / "a/b/c" / os.fsdecode(b"1\xff")
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    (broken,) = CatalogScanner(root=tmp_path).scan().broken
    assert (broken.name, broken.version) == ("a/b/c", r"1\udcff")


def test_links_that_lead_outside_the_root_are_refused__g5(tmp_path: Path) -> None:
    outside = make_tiny_adapter(tmp_path / "outside", seed=1)
    root = tmp_path / "root"
    inside = make_tiny_adapter(root / "a/b/c/1", seed=2)
    (root / "a/b/c/2").symlink_to(outside)
    (root / "a/b/c/3").symlink_to(inside)  # within the root: fine
    (root / "a/b/c/4").mkdir()
    (root / "a/b/c/4/adapter_config.json").symlink_to("/etc/passwd")
    catalog = CatalogScanner(root=root).scan()
    assert [entry.version for entry in catalog.entries] == ["1", "3"]
    assert all("outside the root" in broken.reason for broken in catalog.broken)
    assert len(catalog.broken) == 2


def test_a_second_scan_sees_what_changed(tmp_path: Path) -> None:
    scanner = CatalogScanner(root=tmp_path)
    assert scanner.scan().entries == ()
    make_tiny_adapter(tmp_path / "a/b/c/1", seed=1)
    (first,) = scanner.scan().entries
    assert scanner.scan().entries == (first,)
    make_tiny_adapter(tmp_path / "a/b/c/1", seed=2)
    (second,) = scanner.scan().entries
    assert second.digest != first.digest


def test_a_missing_root_is_an_empty_catalog(tmp_path: Path) -> None:
    assert CatalogScanner(root=tmp_path / "nowhere").scan().entries == ()
