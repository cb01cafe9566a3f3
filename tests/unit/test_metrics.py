"""What is declared can be read by Prometheus, and is in the document (F1)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from lorayard_shared.metrics import declared
from lorayard_shared.metrics.declared import DECLARED
from lorayard_shared.metrics.exposition import render
from lorayard_shared.metrics.histogram import Histogram
from lorayard_shared.metrics.labels import AdapterLabels
from lorayard_shared.metrics.metric import Kind, Metric
from lorayard_shared.metrics.readings import Readings
from lorayard_shared.metrics.table import table

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
UNITS = ("seconds", "bytes", "tokens")
FREE_LABELS = {"job", "digest", "session"}


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Samples by name and labels, as the library reads them."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_page_has_the_table_of_what_is_declared__f1() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), "python -m lorayard_shared.metrics.table has it anew"


@pytest.mark.parametrize("metric", DECLARED, ids=lambda metric: metric.name)
def test_names_tell_kind_and_unit(metric: Metric) -> None:
    assert re.fullmatch(r"lorayard_(process|bus|dispatcher|worker|gateway|yard)_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    if metric.unit in UNITS:
        assert metric.unit in metric.name
    assert not FREE_LABELS.intersection(metric.labels), "nothing bounds these"
    assert metric.help.endswith(".")


def test_no_name_is_declared_twice() -> None:
    assert len({metric.name for metric in DECLARED}) == len(DECLARED)


@given(st.lists(st.floats(min_value=0, max_value=1e6), max_size=40))
def test_a_histogram_reads_as_it_was_observed(values: list[float]) -> None:
    histogram = Histogram(declared.LOAD)
    for value in values:
        histogram.observe(value)
    readings = Readings()
    readings.put_histograms(declared.LOAD, {("host",): histogram})
    samples = parsed(render(readings))
    name = declared.LOAD.name
    for bound in declared.LOAD.buckets:
        key = (f"{name}_bucket", (("le", str(float(bound))), ("tier", "host")))
        assert samples[key] == sum(value <= bound for value in values)
    assert samples[f"{name}_bucket", (("le", "+Inf"), ("tier", "host"))] == len(values)
    assert samples[f"{name}_count", (("tier", "host"),)] == len(values)
    assert samples[f"{name}_sum", (("tier", "host"),)] == pytest.approx(sum(values))


@given(st.text())
def test_whatever_stands_in_a_label_comes_through(text: str) -> None:
    readings = Readings()
    readings.put(declared.ERRORS, 3, text)
    (value,) = [
        value for (_, labels), value in parsed(render(readings)).items() if labels == (("code", text),)
    ]
    assert value == 3


def test_adapters_beyond_the_bound_are_one_label__f1() -> None:
    labels = AdapterLabels(2)
    assert labels.of("a", "1") == ("a", "1")
    assert labels.of_label("b@7") == ("b", "7")
    assert {labels.of(f"c{number}") for number in range(100)} == {("other", "")}
    assert labels.of("a", "1") == ("a", "1"), "who was first keeps its own"
    assert len(labels) == 2


def test_a_value_needs_the_labels_of_its_metric() -> None:
    with pytest.raises(AssertionError, match="has the labels"):
        Readings().put(declared.ERRORS, 1)
