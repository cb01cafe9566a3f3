"""Is the process beside this one ready? Ends with 0 when it is, else with 1 and the reason. For containers.

`healthy.py [URL]`: what a process says of itself at `/readyz`, or at `/healthz` where whoever asks would end
one that is not well. An image of Python has nothing else to ask HTTP with.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 4.0
"""A process gives its event loop 1 s; the gateway asks others on the bus."""


def fault(url: str) -> str | None:
    """What is wrong with the process; None: nothing."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS):
            return None
    except urllib.error.HTTPError as refused:
        try:
            return "; ".join(json.load(refused)["missing"])
        except (ValueError, KeyError, TypeError):
            return f"{url}: {refused}"
    except OSError as error:
        return f"{url}: {error}"


def main() -> int:
    """Ask, and tell."""
    usual = f"http://127.0.0.1:{os.environ.get('LORAYARD_METRICS_PORT', '9464')}/readyz"
    found = fault(sys.argv[1] if len(sys.argv) > 1 else usual)
    if found is not None:
        sys.stderr.write(f"{found}\n")
    return int(found is not None)


if __name__ == "__main__":
    sys.exit(main())
