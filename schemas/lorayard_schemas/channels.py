"""Every subject on which something of ours travels, and who says what there; schemas/asyncapi.json is this.

Addresses have the default prefix; `{...}` is one subject token. What others may write or read comes first.
"""

from __future__ import annotations

from lorayard_schemas.bucket_channels import AUDIT, BUCKETS
from lorayard_schemas.inside_channels import INSIDE
from lorayard_schemas.public_channels import PUBLIC

PARAMETERS = {
    "lane": "How urgent: served in this order, each with a bound on its waiting.",
    "tenant": "Whose. Any name of 1 to 64 characters: lower-case letters, digits, `-`, `_` and `/` stay, "
    "every other byte of its UTF-8 form is percent-encoded in lower case.",
    "adapter": "`{org}/{model-family}/{task}`, with `@{version}` or `@{alias}` behind it or not; `base` for "
    "the base model; `_`: the yard chooses; `%2b` and its first part: a composition. Encoded as a tenant is.",
    "job": "The job's id: 1 to 64 of `A-Z a-z 0-9 _ -`.",
    "worker": "A worker's name, encoded as a tenant is.",
    "dispatcher": "A dispatcher's name, encoded as a tenant is.",
    "by": "A worker, or a dispatcher, encoded as a tenant is.",
    "order": "What the worker shall do with the adapters.",
    "version": "A version of an adapter, encoded as a key.",
    "alias": "A word for versions.",
    "key": "One or more tokens of a bucket's key: as in subjects, with `=` for `%`.",
    "what": "Adapters, aliases, rules, classifier or strikes.",
    "number": "A version or a revision.",
    "object": "Name of an object in its store.",
    "stream": "Which stream: results, tokens, delayed, audit, dead, jobs.",
}

CHANNELS = (*PUBLIC, *BUCKETS, *AUDIT, *INSIDE)
