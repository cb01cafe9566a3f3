"""The version of what is installed, apart from all else: finding it loads what reads mail."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lorayard")
except PackageNotFoundError:  # a source tree on the path, never installed
    __version__ = "0+unknown"
