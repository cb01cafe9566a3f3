"""For tests of services that submit jobs: a yard in memory, and pytest fixtures (docs/testing.md)."""

from __future__ import annotations

from lorayard.testing.clock import YardClock
from lorayard.testing.drained import DrainReport
from lorayard.testing.ending import Ended
from lorayard.testing.handler import Answer, Handler, Permanent, Retryable, WorkerLost, YardJob, echo
from lorayard.testing.held_job import HeldJob
from lorayard.testing.memory_client import MemoryClient, SyncMemoryClient
from lorayard.testing.memory_yard import MemoryYard, Mode
from lorayard.testing.real_yard import RealYard, RealYardError
from lorayard.testing.submitted import SubmittedJob

__all__ = [
    "Answer",
    "DrainReport",
    "Ended",
    "Handler",
    "HeldJob",
    "MemoryClient",
    "MemoryYard",
    "Mode",
    "Permanent",
    "RealYard",
    "RealYardError",
    "Retryable",
    "SubmittedJob",
    "SyncMemoryClient",
    "WorkerLost",
    "YardClock",
    "YardJob",
    "echo",
]
