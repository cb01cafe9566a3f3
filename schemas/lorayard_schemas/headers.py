"""Message headers the yard reads and writes."""

MSG_ID = "Nats-Msg-Id"
EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
TTL = "Nats-TTL"
SCHEDULE = "Nats-Schedule"
SCHEDULE_TARGET = "Nats-Schedule-Target"

ATTEMPT = "Yard-Attempt"
"""Which attempt this message is; absent means the first (design §4: not the server's delivery count)."""

HISTORY = "Yard-History"
"""The failed attempts before this one, as a JSON array."""
