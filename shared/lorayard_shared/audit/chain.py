"""Audit records of one writer hang together: each names the hash of the one before, so that a gap shows.

A writer is one process (a client: one connection) for as long as it knows that its records arrive. It numbers
them from 1, and each carries, in one header,

    Yard-Chain: {writer} {number} {hash before} {hash}

with hashes as SHA-256 in base64 without `=`. `hash` covers the hash before, writer, number, subject and
body.

Whoever is in doubt whether what it sent was stored (no answer, a lost connection, a refusal) does not go on
with its chain: the last records may be missing without anybody's fault. It begins a new one, and says so in
the first record of that: `Yard-Chain-From: {old writer} {stored} {sent}`, numbers of the last record known to
be stored and of the last that was sent. A process that was killed has said nothing: its chain just ends.

Records that a writer itself gave up before it sent them leave a jump in the numbers, and no gap between the
hashes: nobody else can make one.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from binascii import b2a_base64
from dataclasses import replace
from hashlib import sha256

from lorayard_schemas.headers import CHAIN, CHAIN_FROM
from lorayard_shared.value import value

ID_BYTES = 9
"""Twelve characters: two writers out of a billion a year share one once in a thousand years."""


MOST_DIGITS = 18


@value
class Link:
    """What a record says of its place."""

    writer: str
    number: int
    before: str
    hash: str

    @staticmethod
    def read(text: str) -> Link | None:
        """Of the header; None: it is none."""
        parts = text.split(" ")
        if len(parts) != 4 or not all(parts) or not _is_number(parts[1]):
            return None
        return Link(writer=parts[0], number=int(parts[1]), before=parts[2], hash=parts[3])


@value
class Restart:
    """What a writer says of its earlier chain as it begins a new one."""

    writer: str
    stored: int
    """Number of the last record that the server has confirmed; 0: none."""
    sent: int
    """Of the last that it sent, or gave up."""

    @staticmethod
    def read(text: str) -> Restart | None:
        """Of the header; None: it is none."""
        parts = text.split(" ")
        if len(parts) != 3 or not all(map(_is_number, parts[1:])):
            return None
        return Restart(writer=parts[0], stored=int(parts[1]), sent=int(parts[2]))

    def __str__(self) -> str:
        """As the header has it."""
        return f"{self.writer} {self.stored} {self.sent}"


def _is_number(text: str) -> bool:
    """A longer one is nobody's, and Python refuses to read those of thousands of digits."""
    return text.isdecimal() and len(text) <= MOST_DIGITS


def beginning(writer: str, restart: str) -> str:
    """The hash before a chain's first record; `restart` is the header, or empty."""
    return _text(sha256(f"lorayard audit\n{writer}\n{restart}".encode()).digest())


def hash_of(before: str, writer: str, number: int, subject: str, body: bytes) -> str:
    """Of one record."""
    return _text(sha256(f"{before} {writer} {number} {subject}\n".encode() + body).digest())


def _text(digest: bytes) -> str:
    return b2a_base64(digest, newline=False)[:43].decode()


class Chain:
    """Of one writer. Not for several threads at once."""

    def __init__(self, role: str) -> None:
        """`role` is for people: `dispatcher`, `worker`, `client`."""
        self._role = role
        self.writer = self._hash = self._restart = ""
        self._number = self._stored = 0
        self._first_told = False
        self._begin()

    @property
    def begun(self) -> bool:
        """Whether a record was written to it."""
        return self._first_told

    @property
    def number(self) -> int:
        """Of its last record; 0: none yet."""
        return self._number

    def link(self, subject: str, body: bytes) -> dict[str, str]:
        """The next record: its headers. It has to be sent before the next."""
        told = self._first_told
        headers = {CHAIN: self.place(subject, body)}
        if self._restart and not told:
            headers[CHAIN_FROM] = self._restart
        return headers

    def place(self, subject: str, body: bytes) -> str:
        """The same for a record behind the first of its chain: its header `CHAIN`, and it has no other."""
        self._first_told = True
        self._number = number = self._number + 1
        writer, before = self.writer, self._hash
        self._hash = own = hash_of(before, writer, number, subject, body)
        return f"{writer} {number} {before} {own}"

    def skip(self, count: int) -> None:
        """Records that are given up before they were sent: their numbers show as missing, by our own word."""
        self._number += count

    def confirm(self, number: int) -> None:
        """The server has stored the record with this number, and so those before."""
        self._stored = max(self._stored, number)

    def restart(self) -> None:
        """What was sent last may be lost: begin anew, and say so."""
        known = Restart.read(self._restart)
        if (
            known is not None and not self._stored
        ):  # nobody may ever have seen this chain: keep the last sure word
            self._restart = str(replace(known, sent=known.sent + self._number))
        elif self._first_told:
            self._restart = str(Restart(writer=self.writer, stored=self._stored, sent=self._number))
        self._begin()

    def _begin(self) -> None:
        self.writer = f"{self._role}-{urlsafe_b64encode(os.urandom(ID_BYTES)).decode()}"
        self._hash = beginning(self.writer, self._restart)
        self._number = self._stored = 0
        self._first_told = False
