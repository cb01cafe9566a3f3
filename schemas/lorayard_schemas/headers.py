"""Message headers the yard reads and writes."""

MSG_ID = "Nats-Msg-Id"
EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_LAST_MSG_ID = "Nats-Expected-Last-Msg-Id"
BATCH_ID = "Nats-Batch-Id"
BATCH_SEQUENCE = "Nats-Batch-Sequence"
BATCH_COMMIT = "Nats-Batch-Commit"
TTL = "Nats-TTL"
INCREMENT = "Nats-Incr"
"""Added to a counter of the server, which answers with the sum."""
SCHEDULE = "Nats-Schedule"
SCHEDULE_TARGET = "Nats-Schedule-Target"

SCHEDULER = "Nats-Scheduler"
"""On what a schedule has let go, by the server: the subject where the schedule lay."""

OURS = b"Yard-"
"""What those begin with that only the yard reads and writes."""

ATTEMPT = "Yard-Attempt"
"""Which attempt this message is; absent means the first. Not the server's delivery count, which a mere
redelivery raises."""

HISTORY = "Yard-History"
"""The failed attempts before this one, as a JSON array."""

BOUND = "Yard-Bound"
"""The versions that aliases gave an earlier attempt: `name@alias=version`, with a space between two."""

SNOOZED = "Yard-Snoozed"
"""How often this attempt was put off because there was no room, and since when: `3 1763858000.5`."""

PLAN = "Yard-Schedule"
"""The schedule that a due job is an occurrence of."""

CHAIN = "Yard-Chain"
"""An audit record's place among those of its writer: writer, number, the hash before, its own hash."""

CHAIN_FROM = "Yard-Chain-From"
"""On the first record of a chain that goes on from another: that writer, how many of its records are known to
be stored, and how many were sent."""
