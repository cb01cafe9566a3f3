"""A step whose greedy rows take their tokens from the screened head, the others from logits."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_workers.engine.runner import ModelRunner, Piece
from lorayard_workers.engine.sampling import Chosen, NotChosen, TokenSampler, choose_tokens


def screened_tokens(
    runner: ModelRunner, pieces: Sequence[Piece], samplers: Sequence[TokenSampler]
) -> list[Chosen | NotChosen] | None:
    """Run the pieces; `samplers` are of those that want logits, in their order, and so are the tokens.

    None, and nothing has run, where there is no such head or it would not pay.
    """
    greedy = [i for i, sampler in enumerate(samplers) if sampler.plain and sampler.alternatives is None]
    screened = runner.screened
    # The full head costs little more for a few rows beside others: for a minority it is not worth both.
    if screened is None or not screened.pays or 2 * len(greedy) < len(samplers) or not greedy:
        return None
    hidden = runner.hidden(pieces)
    if runner.head_adapted:
        return choose_tokens(runner.logits(hidden), samplers)
    tokens = dict(zip(greedy, screened.likeliest(hidden[greedy]), strict=True))
    found = {i: Chosen(token=token) for i, token in tokens.items() if token is not None}
    rest = [i for i in range(len(samplers)) if i not in found]
    chosen: dict[int, Chosen | NotChosen] = {**found}
    if rest:
        logits = runner.logits(hidden[rest])
        chosen |= zip(rest, choose_tokens(logits, [samplers[i] for i in rest]), strict=True)
    return [chosen[i] for i in range(len(samplers))]
