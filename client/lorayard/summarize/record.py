"""What is known of a document in the end: its summary, or why it has none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from lorayard.summarize.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    """One line of the output."""

    path: str
    name: str
    """Below the folder that was named."""
    title: str | None = None
    summary: str | None = None
    key_points: tuple[str, ...] = ()
    adapter: str | None = None
    version: str | None = None
    digest: str | None = None
    """Of the adapter; None: the base model answered."""
    base_digest: str | None = None
    content: str | None = None
    """Digest of the file."""
    size_bytes: int | None = None
    characters: int | None = None
    replaced_characters: int = 0
    """That were not in the file's encoding."""
    tokens: int | None = None
    """Of the text, as the model or the estimate counts."""
    chunks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Of all its jobs, in whichever run they were."""
    kept: bool = False
    """Done by an earlier run."""
    error: dict[str, str] | None = None

    @classmethod
    def problem(cls, source: Source, code: str, message: str) -> Self:
        """A document without a summary."""
        return cls(path=str(source.path), name=str(source.name), error={"code": code, "message": message})

    def to_json(self) -> str:
        """One line; with half a surrogate pair in it, of a file's name, all but ASCII becomes escapes."""
        line = json.dumps(asdict(self), ensure_ascii=False)
        try:
            line.encode()
        except UnicodeEncodeError:
            return self.to_ascii()
        return line

    def to_ascii(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self))

    @classmethod
    def kept_for(cls, body: str, source: Source) -> Self:
        """What an earlier run made of the same content, maybe under another name."""
        fields: dict[str, Any] = json.loads(body)
        fields["key_points"] = tuple(fields["key_points"])
        return replace(cls(**fields), path=str(source.path), name=str(source.name), kept=True)
