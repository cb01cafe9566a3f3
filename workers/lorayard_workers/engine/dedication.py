"""Whether an engine serves everybody, or one adapter that is folded into its weights. Books only, no torch.

From the moment somebody wants it, requests for others are refused; the adapter's own go on through its slot
while the merge is made elsewhere. Then nothing new starts, the rows that run end, and between two steps the
weights change: no row ever sees two kinds. The way back is the same, only that nobody is refused: whoever
comes waits for the rows that run.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest

REFUSAL_CODE = "worker_dedicated"


@dataclass(slots=True, kw_only=True)
class Dedication:
    """What the weights are, and what they shall be; None is the base model, for all adapters."""

    current: str | None = None
    target: str | None = None
    _wish: int = 0  # the number of the last one
    _made: bool = False  # see made_ready

    @property
    def made_ready(self) -> bool:
        """Whether the target's weights are made, and not yet in use."""
        return self._made

    @property
    def switching(self) -> bool:
        """Whether only rows that run stand before the change."""
        return self.target != self.current and (self.target is None or self._made)

    def want(self, digest: str | None, *, wish: int) -> None:
        """From now on this is the target; `wish` tells it from others for the same adapter."""
        self.target, self._wish, self._made = digest, wish, False

    def made(self, digest: str) -> bool:
        """A merge has been made; False if nobody wants it any more. Whichever wish it was made for will do:
        an adapter's merge is always the same."""
        self._made = digest == self.target != self.current
        return self._made

    def failed(self, wish: int) -> None:
        """This wish gets no merge: all stays as it is, unless there is another wish, or a merge by now."""
        if wish == self._wish and not self._made:
            self.target = self.current

    def switched(self) -> None:
        """The weights have been changed."""
        assert self.switching
        self.current, self._made = self.target, False

    def refuses(self, request: GenerationRequest) -> bool:
        """Whether a request that has not begun must go elsewhere."""
        return self.target is not None and not _is_of(request, self.target)

    def refusal(self, request: GenerationRequest) -> Failed:
        """What it is told."""
        return Failed(
            request_id=request.request_id,
            kind=FailureKind.RETRYABLE,
            code=REFUSAL_CODE,
            message=f"this worker serves only adapter {self.target}, merged into its base model: "
            "another worker can answer",
            field="adapter",
        )

    def may_start(self, request: GenerationRequest) -> bool:
        """Whether the weights are, and will be, what it needs."""
        return not self.switching and (self.current is None or self.covers(request))

    def covers(self, request: GenerationRequest) -> bool:
        """Whether its adapter is in the weights, so that it needs no slot."""
        return self.current is not None and _is_of(request, self.current)


def _is_of(request: GenerationRequest, digest: str) -> bool:
    return request.adapter == digest and request.composition is None
