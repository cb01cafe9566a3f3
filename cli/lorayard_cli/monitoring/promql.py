"""Queries as Prometheus reads them, made of what is declared."""

from __future__ import annotations

from collections.abc import Mapping


def equal(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Matchers of series that have these labels."""
    return tuple(f'{name}="{value}"' for name, value in labels.items())


def selector(name: str, *matchers: str) -> str:
    """The series of a name that match."""
    return f"{name}{{{','.join(matchers)}}}" if matchers else name


def rate(name: str, window: str, *matchers: str) -> str:
    """What a counter gains in a second."""
    return f"rate({selector(name, *matchers)}[{window}])"


def summed(expr: str, *by: str) -> str:
    """The sum, for each value of these labels, or over all."""
    return f"sum by ({', '.join(by)}) ({expr})" if by else f"sum({expr})"


def quantile(share: float, histogram: str, window: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Under which a share of what a histogram saw lies, for each value of these labels."""
    buckets = rate(f"{histogram}_bucket", window, *matchers)
    return f"histogram_quantile({share}, {summed(buckets, *by, 'le')})"
