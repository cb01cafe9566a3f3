"""What can be wrong with an adapter, as far as its files tell.

YardError
  AdapterError               whoever published the adapter
    AdapterRefusedError        the folder's content; names file, module and numbers
  NotPlainFileError          operator: something else lies where a file should
"""

from __future__ import annotations

from pathlib import Path

from lorayard_shared.errors import YardError


class AdapterError(YardError):
    """An adapter cannot be served."""


class AdapterRefusedError(AdapterError):
    """An adapter folder breaks a rule; `module` is the tensor or setting at fault, where one is."""

    def __init__(self, path: Path, reason: str, *, module: str | None = None) -> None:
        super().__init__(f"adapter {path}: {reason}")
        self.path = path
        self.reason = reason
        self.module = module


def no_folder(path: Path) -> AdapterRefusedError:
    """What lies, or does not, where an adapter's folder was said to be."""
    reason = "it is a file; a folder is needed" if path.is_file() else "there is no such folder"
    return AdapterRefusedError(path, reason)


class NotPlainFileError(YardError):
    """A folder, a pipe or a device lies where a file should."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a regular file: remove it, or put the file there")
        self.path = path
