"""Who somebody is, for the record: no proof, only what a person looks for a year later."""

from __future__ import annotations

import getpass
import os
import socket


def default_actor() -> str:
    """`user@host` of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name; 3.13 raises OSError
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
