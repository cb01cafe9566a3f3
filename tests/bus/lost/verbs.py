"""Every verb of a client, how it is called, and what must be so when it has returned."""

from __future__ import annotations

from tests.bus.lost.verbs_of_control import CONTROL, KEYS, SCHEDULES
from tests.bus.lost.verbs_of_jobs import JOBS, LETTERS
from tests.bus.lost.verbs_of_registry import ADAPTERS, ALIASES, RULES

from lorayard import (
    Adapters,
    AdmissionLimits,
    Aliases,
    Client,
    Control,
    DeadLetters,
    JobHandle,
    Keys,
    Rules,
    Schedules,
    Strikes,
)
from lorayard.job_lists import Jobs
from lorayard.registry.classifiers import Classifiers
from lorayard.registry.models import Models
from lorayard.tenants import Tenants

PARTS: dict[str, type] = {
    "": Client,
    "handle.": JobHandle,
    "adapters.": Adapters,
    "aliases.": Aliases,
    "rules.": Rules,
    "rules.classifier.": Classifiers,
    "limits.": AdmissionLimits,
    "keys.": Keys,
    "strikes.": Strikes,
    "tenants.": Tenants,
    "models.": Models,
    "dead.": DeadLetters,
    "jobs.": Jobs,
    "control.": Control,
    "schedules.": Schedules,
}

VERBS = (*JOBS, *LETTERS, *SCHEDULES, *CONTROL, *KEYS, *ALIASES, *ADAPTERS, *RULES)

ELSEWHERE = {
    "open": "nothing was asked before it",
    "close": "it waits for nothing that could be lost",
    "handle": "it asks nobody",
    "job_id": "it asks nobody",
    "handle.id": "it asks nobody",
    "handle.existing": "it asks nobody",
    "handle.__await__": "it is `result`",
    "models.fetch_tokenizer": "its file comes as those of adapters.pull, by the same code",
    "rules.classifier.put": "its files go as those of adapters.push, its record as that of rules.set",
    "rules.classifier.train": "it is `put` of what was made here",
    "rules.classifier.evaluate": "its files come as those of adapters.pull",
    "rules.classifier.rollback": "it is written as rules.rollback, by the same code",
    "rules.classifier.off": "it is written as rules.set, by the same code",
}
"""Verbs that have no line of their own, and why."""
