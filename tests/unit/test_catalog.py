"""Finding adapters in a folder tree: a broken one never hides the others (G3, G5)."""

from __future__ import annotations

import os
import shutil
from collections import UserDict
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lorayard_workers.adapters.catalog import BrokenEntry, Catalog, CatalogEntry, CatalogScanner
from lorayard_workers.adapters.folder_changes import changes_since, entry_key
from lorayard_workers.tiny_model import TINY_SHAPES, make_tiny_adapter

WEIGHTS = "adapter_model.safetensors"


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


def labels(catalog: Catalog) -> tuple[list[str], list[str]]:
    """Versions that can be served, and those that cannot."""
    return [entry.version for entry in catalog.entries], [entry.version for entry in catalog.broken]


def test_a_patient_look_judges_what_two_looks_found_the_same__d6(tmp_path: Path) -> None:
    first = make_tiny_adapter(tmp_path / "a/b/c/1", seed=1)
    scanner = CatalogScanner(root=tmp_path)
    digest = scanner.scan().entries[0].digest
    look = partial(scanner.scan, patient=True)
    assert labels(look()) == (["1"], [])
    second = make_tiny_adapter(tmp_path / "a/b/c/2", seed=2)
    weights = (second / WEIGHTS).read_bytes()
    for size in (100, 1000, len(weights)):  # it grows from look to look
        (second / WEIGHTS).write_bytes(weights[:size])
        assert labels(look()) == (["1"], [])
    assert labels(look()) == (["1", "2"], [])
    # What has changed counts as it was, until it is still.
    (first / WEIGHTS).write_bytes(weights[:200])
    assert look().entries[0].digest == digest
    assert labels(look()) == (["2"], ["1"])
    shutil.rmtree(first)
    assert labels(look()) == (["2"], ["1"])
    assert labels(look()) == (["2"], [])
    (second / WEIGHTS).touch()  # nothing but the time
    assert labels(look()) == labels(look()) == (["2"], [])


def test_a_folder_that_is_gone_for_one_look_was_not_lost__d6_g2(tmp_path: Path) -> None:
    folder = make_tiny_adapter(tmp_path / "a/b/c/1", seed=1)
    scanner = CatalogScanner(root=tmp_path)
    scanner.scan()
    away = folder.rename(tmp_path / "away")
    assert labels(scanner.scan(patient=True)) == (["1"], [])
    away.rename(folder)
    assert labels(scanner.scan(patient=True)) == (["1"], [])
    assert labels(scanner.scan(patient=True)) == (["1"], [])


def test_a_link_put_in_later_that_leads_outside_is_seen__g5(tmp_path: Path) -> None:
    folder = make_tiny_adapter(tmp_path / "root/a/b/c/1", seed=1)
    other = make_tiny_adapter(tmp_path / "other", seed=2)
    scanner = CatalogScanner(root=tmp_path / "root")
    assert labels(scanner.scan()) == (["1"], [])
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to(other / WEIGHTS)
    scanner.scan(patient=True)
    (broken,) = scanner.scan(patient=True).broken
    assert "leads outside the root" in broken.reason


def entry(version: str, digest: str = "1") -> CatalogEntry:
    return CatalogEntry(
        name="a/b/c",
        version=version,
        path=Path(version),
        digest=f"sha256:{digest * 64}",
        rank=1,
        alpha=1.0,
        targets=("q_proj",),
        size_bytes=1,
        base_model_name_or_path=None,
    )


def test_changes_are_what_a_worker_has_to_do_something_about__d6() -> None:
    known = [entry(version) for version in ("same", "changed", "spoiled", "gone", "kept")]
    before = {entry_key(one): one for one in known}
    spoiled = BrokenEntry(name="a/b/c", version="spoiled", path=Path("spoiled"), reason="cut")
    now = Catalog(
        entries=(entry("same"), entry("changed", "2"), entry("new"), entry("kept", "3")), broken=(spoiled,)
    )
    offered_on = {("a/b/c", "kept"): entry("kept", "0"), ("a/b/c", "left"): entry("left", "0")}
    found = changes_since(before, offered_on, now)
    assert [(one.version, one.digest[7]) for one in found.new] == [
        ("changed", "2"),
        ("new", "1"),
        ("kept", "3"),
    ]
    assert [one.version for one in found.altered] == ["changed", "spoiled"]
    assert [one.version for one in found.removed] == ["gone", "left"]
    assert not changes_since({entry_key(one): one for one in now.entries}, {}, now)
