"""`python -m lorayard_cli` is `lorayard`: how the embedded yard starts its own children."""

from __future__ import annotations

from lorayard_cli import main

if __name__ == "__main__":
    main()
