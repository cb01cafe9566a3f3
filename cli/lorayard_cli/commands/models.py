"""`lorayard models`: base models on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from lorayard_cli.options import TEXT, Output, models_folder
from lorayard_cli.output import note, print_json, print_text


def prepare(model: str = "gemma3-270m", *, models_dir: Path | None = None, output: Output = TEXT) -> None:
    """Make a base model ready to load, once, and print its folder.

    Parameters
    ----------
    model
        gemma3-270m, tiny, or the folder of a Hugging Face model.
    models_dir
        Where known models are kept; ~/.cache/lorayard/models when absent.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of three libraries; our own lines say more
    from lorayard_workers.model_store import resolve_model

    folder = resolve_model(model, models_dir or models_folder(), progress=note)
    if output.json:
        print_json({"model": model, "folder": str(folder)})
    else:
        print_text(str(folder))
