"""Is the process beside this one well? Ends with 0 when it is, else with 1 and the reason. For containers.

A process says at `/metrics` whether its event loop answers, and whether it has the bus: that is progress,
where an open port is none. `--bus` wants the bus too. Leave it out of checks whose failure restarts the
process: it reconnects by itself.
"""

from __future__ import annotations

import os
import sys
import urllib.request

TIMEOUT_SECONDS = 4.0
"""The page itself waits 2 s for the event loop."""


def fault(page: str, *, with_bus: bool) -> str | None:
    """What is wrong with the process; None: nothing."""
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("lorayard_"))
    if float(values.get("lorayard_process_answers", 0)) != 1:
        return "its event loop does not answer"
    connected = values.get("lorayard_bus_connected", values.get("lorayard_yard_up", 1))
    return "it has no bus" if with_bus and float(connected) != 1 else None


def main() -> int:
    """Ask, and tell."""
    url = f"http://127.0.0.1:{os.environ.get('LORAYARD_METRICS_PORT', '9464')}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as page:
            found = fault(page.read().decode(), with_bus="--bus" in sys.argv[1:])
    except OSError as error:
        found = f"{url}: {error}"
    if found is not None:
        sys.stderr.write(f"{found}\n")
    return int(found is not None)


if __name__ == "__main__":
    sys.exit(main())
