"""The `lorayard` command and the embedded yard."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from lorayard_cli.exit_codes import ExitCode


def main() -> None:
    """Entry point of the `lorayard` command."""
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while the command was still being imported
        sys.stderr.write("error: interrupted\n")
        code = ExitCode.INTERRUPTED
    raise SystemExit(code)


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit code.

    A base install is a client's: it can say its version, and what to install for the rest.
    """
    if arguments == ["--version"]:
        sys.stdout.write(f"{installed_version()}\n")
        return ExitCode.OK
    missing = [package for package in ("cyclopts", "rich") if find_spec(package) is None]
    if missing:
        sys.stderr.write(
            f"error: the command line needs {' and '.join(missing)}, not installed here; "
            "run: pip install 'lorayard[cli]' (or 'lorayard[demo]' for a whole yard)\n"
        )
        return ExitCode.USAGE
    from lorayard_cli.app import run_command

    return run_command(arguments)


def installed_version() -> str:
    """The version of the installed distribution."""
    try:
        return version("lorayard")
    except PackageNotFoundError:
        return "unknown (not installed)"
