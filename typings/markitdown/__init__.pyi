# The part of markitdown that lorayard uses; types are checked without it being installed.
from pathlib import Path

class DocumentConverterResult:
    text_content: str

class MarkItDown:
    def __init__(self, *, enable_plugins: bool | None = None) -> None: ...
    def convert_local(self, path: str | Path) -> DocumentConverterResult: ...
