"""What an adapter must fit to be served by one worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.folder_files import JudgedFolder, judge_folder
from lorayard_workers.adapters.fit import Shapes, check_fits, check_rank
from lorayard_workers.adapters.wide import NO_WIDE, WideRoom


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterLimits:
    """Of a worker's engine; None: it has none of that kind."""

    shapes: Shapes | None = None
    max_rank: int | None = None
    wide: WideRoom = NO_WIDE

    def judge(self, folder: Path, *, digest: str, max_bytes: int) -> JudgedFolder:
        """An adapter's folder, if it is the one with that digest and can be served here.

        Raises:
            AdapterRefusedError: it is unsound, another one, or does not fit the base model.
            CapacityError: it is larger than a setting allows.
        """
        judged = judge_folder(folder, max_bytes=max_bytes)
        if judged.digest != digest:
            raise AdapterRefusedError(folder, f"its content is {judged.digest}, not the {digest} asked for")
        if self.shapes is not None:
            check_fits(judged.adapter, self.shapes, self.wide)
        if self.max_rank is not None:
            check_rank(judged.adapter, self.max_rank)
        return judged
