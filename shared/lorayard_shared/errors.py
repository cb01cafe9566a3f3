"""What can go wrong between a process and its yard, by who must act.

YardError
  BusUnavailableError        operator: no server answers at the address, or it refuses the login
  BusDeclarationError        operator: a stream, bucket or consumer cannot be made as declared
  PayloadMissingError        us or operator: a referenced payload is not in the store, or is another one
  SettingsError              operator: a setting is missing or wrong
  LeasesLostError            us: the thread that renews leases has died, so the process must be started anew
"""

from __future__ import annotations

from lorayard_shared.bus_url import without_login


class YardError(Exception):
    """Base of everything that lorayard's own processes raise about their surroundings."""


REFUSED_LOGIN = ("authorization", "authentication")
"""In what a server says that wants another login, or any."""


NOT_PERMITTED = "may not publish on"
"""In what is told of a subject that the credentials in use do not cover."""


class BusUnavailableError(YardError):
    """No NATS server could be reached, or it lets us not in."""

    def __init__(self, *, url: str, reason: str) -> None:
        url = without_login(url)
        told = (
            f"the NATS server at {url} refuses this login ({reason}); set LORAYARD_USER and "
            "LORAYARD_PASSWORD, or LORAYARD_CREDENTIALS_FILE"
            if any(word in reason.lower() for word in REFUSED_LOGIN)
            else f"the NATS server at {url} refuses that ({reason}); ask for other credentials"
            if NOT_PERMITTED in reason
            else f"no NATS server answers at {url} ({reason}); start a yard with `lorayard up`, "
            "or set LORAYARD_URL to the address of one that runs"
        )
        super().__init__(told)
        self.url = url
        self.reason = reason


class BusDeclarationError(YardError):
    """The server refused a declaration."""

    def __init__(self, *, kind: str, name: str, reason: str) -> None:
        super().__init__(f"{kind} {name}: {reason}")
        self.kind = kind
        self.name = name
        self.reason = reason


class PayloadMissingError(YardError):
    """A payload is gone or its bytes are not those that were promised."""

    def __init__(self, *, key: str, reason: str) -> None:
        super().__init__(f"payload {key}: {reason}")
        self.key = key
        self.reason = reason


class SettingsError(YardError):
    """A setting has no use as it is."""

    def __init__(self, *, setting: str, reason: str) -> None:
        super().__init__(f"{setting}: {reason}")
        self.setting = setting
        self.reason = reason


class LeasesLostError(YardError):
    """Nothing renews this process's leases any more."""

    def __init__(self) -> None:
        super().__init__("the thread that renews leases has ended; see the log above")
