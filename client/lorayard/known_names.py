"""Options by name: a slip of the pen must not be one that was never given."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lorayard.errors import InvalidRequestError


def check_names(given: Iterable[str], known: Collection[str], *, of: str = "") -> None:
    """See that each is one that there is; `of` is the field that has them.

    What is on its way may have fields of newer peers, what a caller says here may not.

    Raises:
        InvalidRequestError: naming the first that is none.
    """
    for name in given:
        if name not in known:
            field = f"{of}.{name}" if of else name
            raise InvalidRequestError(field=field, reason=f"there is no such field, but {', '.join(known)}")
