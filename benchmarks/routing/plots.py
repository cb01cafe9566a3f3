"""Draws results/routing-study.json into docs/images: `make routing-plots`. Wants the extra `plots`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT: Final = Path(__file__).resolve().parents[2]
STUDY: Final = ROOT / "benchmarks/results/routing-study.json"
IMAGES: Final = ROOT / "docs/images"

NAMES: Final = {
    "ours": "lorayard",
    "bounded_affinity": "affinity with a bound",
    "pull_aff": "free worker, what it holds",
    "dynamo": "Dynamo's replica sets",
    "ray": "Ray Serve's multiplexing",
    "bounded_loads": "hashing, bounded loads",
    "gateway": "inference gateway's scorers",
    "affinity": "plain affinity",
    "least_request": "least requests",
    "round_robin": "round robin",
}
HEADS: Final = {
    "ours": "lorayard",
    "bounded_affinity": "affinity\nwith bound",
    "pull_aff": "free\nworker",
    "bounded_loads": "hashing",
    "gateway": "gateway",
    "affinity": "plain\naffinity",
    "least_request": "least\nrequests",
    "round_robin": "round\nrobin",
}
"""Of a table's columns."""
OURS_COLOUR: Final = "#c0392b"
OTHERS_COLOUR: Final = "#7f8c9a"
LINES: Final = (
    "#1f6f8b",
    "#8a6d3b",
    "#5b7f3a",
    "#6c4f9c",
    "#b8860b",
    "#3a6ea5",
    "#7a7a7a",
    "#4f9c8f",
    "#a0522d",
)
"""Of the other rules in a chart of lines, in the order of NAMES."""

_STYLE: Final = {
    "svg.hashsalt": "lorayard",  # the same file from the same figures
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.axisbelow": True,
    "figure.facecolor": "white",
}

Seeds = Mapping[str, Mapping[str, float]]


def main() -> int:
    """All figures."""
    mpl.rcParams.update(_STYLE)
    study: Mapping[str, Any] = json.loads(STUDY.read_text(encoding="utf-8"))
    IMAGES.mkdir(exist_ok=True)
    _save(wait_by_load(study["sweep"]), "routing-wait-by-load")
    _save(
        bars(study["sweep"]["0.85"], "loads", "adapter loads per 1,000 jobs, at 85 % load"),
        "routing-loads",
    )
    _save(
        bars(study["cold"]["all"], "cold_worst", "worst wait for a cold adapter, 110 % load, s", bound=8.0),
        "routing-cold-wait",
    )
    _save(
        bars(
            study["flood"]["all"],
            "good_p95",
            "wait p95 of seven tenants beside one that floods, s",
            bound=2.0,
        ),
        "routing-flood",
    )
    _save(served(study["served"]), "routing-highest-load")
    return 0


def wait_by_load(sweep: Mapping[str, Mapping[str, Seeds]]) -> Figure:
    """Wait p95 over the load, one line a rule."""
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    loads = sorted(sweep, key=float)
    colours = dict(zip([name for name in NAMES if name != "ours"], LINES, strict=True))
    for name in reversed(NAMES):
        waits = [max(0.01, middle(sweep[load][name], "p95")) for load in loads]
        is_ours = name == "ours"
        axes.plot(
            [100 * float(load) for load in loads],
            waits,
            color=OURS_COLOUR if is_ours else colours[name],
            linewidth=2.6 if is_ours else 1.3,
            marker="o",
            markersize=4 if is_ours else 2.5,
            label=NAMES[name],
        )
    axes.set_yscale("log")
    axes.set_xlabel("load, % of all rows busy and no loads")
    axes.set_ylabel("wait p95, s (from 0.01)")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center", frameon=False, fontsize=9)
    return figure


def bars(cases: Mapping[str, Seeds], figure_of: str, title: str, bound: float | None = None) -> Figure:
    """One bar a rule: the median of the seeds, with the lowest and the highest."""
    figure, axes = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    order = sorted(
        (name for name in NAMES if name in cases), key=lambda name: -middle(cases[name], figure_of)
    )
    for place, name in enumerate(order):
        values = [seed[figure_of] for seed in cases[name].values()]
        height = median(values)
        axes.barh(
            place,
            height,
            xerr=[[height - min(values)], [max(values) - height]],
            color=OURS_COLOUR if name == "ours" else OTHERS_COLOUR,
            ecolor="#444444",
            capsize=2,
            height=0.7,
        )
        told = _short(height)
        if bound is not None:  # under overload: what else is done meanwhile is the other half
            told += f" s, {middle(cases[name], 'jobs_per_second'):.0f} jobs/s in all"
        axes.annotate(told, (max(values), place), xytext=(5, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(order)), [NAMES[name] for name in order])
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(title)
    axes.margins(x=0.1 if bound is None else 0.32)
    if bound is not None:
        _mark(axes, bound)
    return figure


def served(regimes: Mapping[str, Mapping[str, Seeds]]) -> Figure:
    """A table in shades: the highest load that each rule serves in each regime."""
    names = [name for name in HEADS if name in next(iter(regimes.values()))]
    rows = sorted(regimes)
    table = [[middle(regimes[row][name], "load") for name in names] for row in rows]
    figure, axes = plt.subplots(figsize=(7.2, 0.32 * len(rows) + 1.5), layout="constrained")
    axes.imshow(table, cmap="YlGnBu", vmin=0.0, vmax=1.15, aspect="auto")
    for line, row in enumerate(table):
        for column, value in enumerate(row):
            weight = "bold" if value >= max(row) - 0.005 else "normal"
            colour = "white" if value > 0.7 else "#222222"
            axes.text(column, line, f"{value:.2f}", ha="center", va="center", color=colour, weight=weight)
    axes.set_xticks(range(len(names)), [HEADS[name] for name in names])
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def middle(seeds: Mapping[str, Mapping[str, float]], figure_of: str) -> float:
    """The median of the seeds."""
    return median(seed[figure_of] for seed in seeds.values())


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}"


def _mark(axes: Axes, bound: float) -> None:
    axes.axvline(bound, color="#222222", linewidth=1, linestyle="--")
    axes.annotate(
        f"{bound:g} s", (bound, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=9
    )


def _save(figure: Figure, name: str, formats: Sequence[str] = ("svg",)) -> None:
    for kind in formats:
        figure.savefig(IMAGES / f"{name}.{kind}", metadata={"Date": None} if kind == "svg" else None)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
