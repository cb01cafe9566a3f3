"""What of a yard is more than its jobs; each part is read and changed by an object of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorayard.errors import ClientClosedError
from lorayard.link import Link

if TYPE_CHECKING:  # imported at their first use: most services publish jobs and need none of them
    from lorayard.control import Control
    from lorayard.dead.letters import DeadLetters
    from lorayard.job_lists import Jobs
    from lorayard.registry.adapters import Adapters
    from lorayard.registry.aliases import Aliases
    from lorayard.registry.keys import Keys
    from lorayard.registry.limits import AdmissionLimits
    from lorayard.registry.models import Models
    from lorayard.registry.rules import Rules
    from lorayard.registry.schedules import Schedules
    from lorayard.registry.strikes import Strikes
    from lorayard.tenants import Tenants


class YardParts:
    """The parts of a yard, over a client's connection."""

    def __init__(self) -> None:
        self._link: Link | None = None

    @property
    def _open_link(self) -> Link:
        if self._link is None:
            raise ClientClosedError
        return self._link

    @property
    def adapters(self) -> Adapters:
        """What the yard can serve: `await yard.adapters()` lists it, `yard.adapters.push(...)` adds to it."""
        from lorayard.registry.adapters import Adapters

        return Adapters(lambda: self._open_link)

    @property
    def aliases(self) -> Aliases:
        """Words for versions, and who gets which: `await yard.aliases.split(alias, {"1": 95, "2": 5})`."""
        from lorayard.registry.aliases import Aliases

        return Aliases(lambda: self._open_link)

    @property
    def rules(self) -> Rules:
        """What chooses the adapter of jobs that name none: `await yard.rules.set(Path("rules.toml"))`."""
        from lorayard.registry.rules import Rules

        return Rules(lambda: self._open_link)

    @property
    def limits(self) -> AdmissionLimits:
        """How much may be asked for: `await yard.limits.set(tenant="a", max_pending=500, reason="...")`."""
        from lorayard.registry.limits import AdmissionLimits

        return AdmissionLimits(lambda: self._open_link)

    @property
    def keys(self) -> Keys:
        """Who may speak through a gateway: `await yard.keys.add("acme", reason="the web shop")`."""
        from lorayard.registry.keys import Keys

        return Keys(lambda: self._open_link)

    @property
    def strikes(self) -> Strikes:
        """Whose jobs wait: `await yard.strikes.add(adapter=..., reason="it rambles")`."""
        from lorayard.registry.strikes import Strikes

        return Strikes(lambda: self._open_link)

    @property
    def models(self) -> Models:
        """The base models that the yard's workers have, and their tokenizers: `await yard.models()`."""
        from lorayard.registry.models import Models

        return Models(lambda: self._open_link)

    @property
    def tenants(self) -> Tenants:
        """What holds for a tenant's jobs: `await yard.tenants.set_retry("acme", Retry(max_attempts=5))`."""
        from lorayard.tenants import Tenants

        return Tenants(lambda: self._open_link)

    @property
    def dead(self) -> DeadLetters:
        """Jobs that were given up: `await yard.dead.list()`, `await yard.dead.redrive(number)`."""
        from lorayard.dead.letters import DeadLetters

        return DeadLetters(lambda: self._open_link)

    @property
    def jobs(self) -> Jobs:
        """Lists of them: `await yard.jobs.queued()`, `await yard.jobs.recent()`."""
        from lorayard.job_lists import Jobs

        return Jobs(lambda: self._open_link)

    @property
    def control(self) -> Control:
        """What starts and how much: `await yard.control.pause("lane", "bulk", reason="maintenance")`."""
        from lorayard.control import Control

        return Control(lambda: self._open_link)

    @property
    def schedules(self) -> Schedules:
        """Jobs that come again: `await yard.schedules.add("digest", "Sum up: ...", cron="0 7 * * 1-5")`."""
        from lorayard.registry.schedules import Schedules

        return Schedules(lambda: self._open_link)
