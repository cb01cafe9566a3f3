"""What can be wrong with a message.

SchemaError
  MalformedMessageError      bytes or fields that are not the message they claim to be
"""

from __future__ import annotations


class SchemaError(Exception):
    """Something that travelled is not as it should be."""


class MalformedMessageError(SchemaError):
    """A message cannot be read; `field` names the place, `""` is the message as a whole."""

    def __init__(self, *, kind: str, field: str, reason: str) -> None:
        super().__init__(f"{kind}: {field or 'body'}: {reason}")
        self.kind = kind
        self.field = field
        self.reason = reason
