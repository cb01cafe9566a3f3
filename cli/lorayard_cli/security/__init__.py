"""Accounts, roles and keys of a yard that trusts nobody with more than its work: `lorayard security`."""
