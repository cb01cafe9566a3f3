"""What a gateway's `/metrics` shows: requests as they are answered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

from lorayard_shared.bus.connection import Bus
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.histogram import Histogram
from lorayard_shared.metrics.labels import Labels
from lorayard_shared.metrics.metric import Source
from lorayard_shared.metrics.readings import Readings
from lorayard_shared.metrics.server import MetricsPage

MODELS = "/v1/models"
ONE_MODEL = "/v1/models/{model}"
_ONE_OF = re.compile(r"^(/v1/(?:files|batches))/[^/]+")


class HttpMeter:
    """Counts of one gateway, by path and status."""

    def __init__(self) -> None:
        self._answered = Counter[Labels]()
        self._seconds: dict[Labels, Histogram] = {}

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request of one of the routes; those that fit none never come here, so paths are few."""
        if path.startswith(f"{MODELS}/"):
            path = ONE_MODEL
        path = _ONE_OF.sub(r"\1/{id}", path)
        self._answered[(path, str(status))] += 1
        took = self._seconds.get((path,))
        if took is None:
            took = self._seconds[(path,)] = Histogram(declared.HTTP_SECONDS)
        took.observe(seconds)

    def page(self, bus: Bus, unready: Callable[[], Iterable[str]] = tuple) -> MetricsPage:
        """All counts, as of a scrape; `unready` tells what makes no progress."""

        def read(readings: Readings) -> None:
            readings.put_all(declared.HTTP_REQUESTS, self._answered.items())
            readings.put_histograms(declared.HTTP_SECONDS, self._seconds)

        return MetricsPage(source=Source.GATEWAY, name=bus.name, read=read, bus=bus, unready=unready)
