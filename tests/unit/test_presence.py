"""What a worker says about itself fits into an advert."""

from __future__ import annotations

from pathlib import Path

from lorayard_schemas.advert import MAX_REFUSED_ADAPTERS, MAX_REFUSED_CHARACTERS
from lorayard_workers.adapters.catalog import BrokenEntry
from lorayard_workers.service.presence import refused_adapters


def broken(version: str, *, reason: str = "no weights") -> BrokenEntry:
    return BrokenEntry(name="a/b/c", version=version, path=Path("a/b/c") / version, reason=reason)


def test_any_number_of_broken_folders_fits_into_an_advert() -> None:
    refused = refused_adapters([broken(str(number)) for number in range(MAX_REFUSED_ADAPTERS + 1)])
    assert [entry.version for entry in refused] == [str(number) for number in range(MAX_REFUSED_ADAPTERS)]


def test_a_long_reason_is_cut_where_it_stops_helping() -> None:
    long, short = refused_adapters([broken("1", reason="x" * 1000), broken("2")])
    assert long.reason == "x" * (MAX_REFUSED_CHARACTERS - 1) + "…"
    assert short.reason == "no weights"
