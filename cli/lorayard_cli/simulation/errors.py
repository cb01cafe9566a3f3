"""What stops a run: SimulationError > BadOrderError, BooksDifferError, BadSettingError."""

from __future__ import annotations


class SimulationError(Exception):
    """A run that can't be believed."""


class BadOrderError(SimulationError):
    """A router ordered what can't be done: the router must be mended."""

    def __init__(self, router: str, fault: str) -> None:
        super().__init__(f"router {router}: {fault}")
        self.router = router
        self.fault = fault


class BooksDifferError(SimulationError):
    """The modelled yard contradicts itself: jobs lost or doubled, slots given away twice."""


class BadSettingError(SimulationError):
    """A run was asked for that can't be: the caller must change it."""

    def __init__(self, setting: str, fault: str) -> None:
        super().__init__(f"{setting}: {fault}")
        self.setting = setting
        self.fault = fault
