"""A step's tokens where there is a screened head: greedy rows take theirs from it where that is worth it.

The likeliest token of a row is always that of the exact logits, however the step comes by it, so it depends
on no neighbour: not on how many are sampled, tell log-probabilities or have LoRA on the head, nor on steps
before.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lorayard_workers.engine.runner import ModelRunner, Piece
from lorayard_workers.engine.sampling import Chosen, NotChosen, TokenSampler, choose_tokens
from lorayard_workers.engine.screened_head import ScreenedHead


def screened_tokens(
    runner: ModelRunner, pieces: Sequence[Piece], samplers: Sequence[TokenSampler]
) -> list[Chosen | NotChosen] | None:
    """Run the pieces; `samplers` are of those that want logits, in their order, and so are the tokens.

    None, and nothing has run, where there is no such head.
    """
    screened = runner.screened
    if screened is None:
        return None
    hidden = runner.hidden(pieces)
    adapted = runner.head_adapted
    # With LoRA on the head, a row's logits are not the projection's.
    greedy = [i for i, sampler in enumerate(samplers) if _is_screened(sampler) and i not in adapted]
    found = _screen(screened, hidden, greedy) if _worth_it(screened, len(greedy), len(samplers)) else {}
    rest = [i for i in range(len(samplers)) if i not in found]
    if rest:
        few = hidden[rest]
        logits = runner.logits(few, rest)
        asked = [samplers[i] for i in rest]
        plain = [at for at, i in enumerate(rest) if samplers[i].plain and i not in adapted]
        exact = _exact(screened, few, logits, plain)
        found |= zip(rest, choose_tokens(logits, asked, exact), strict=True)
    return [found[i] for i in range(len(samplers))]


def _worth_it(screened: ScreenedHead, greedy: int, rows: int) -> bool:
    """The full head costs little more for a few rows beside others: for a minority it is not worth both."""
    return screened.pays and greedy > 0 and 2 * greedy >= rows


def _is_screened(sampler: TokenSampler) -> bool:
    return sampler.plain and sampler.alternatives is None


def _screen(screened: ScreenedHead, hidden: Tensor, greedy: Sequence[int]) -> dict[int, Chosen | NotChosen]:
    """Of these rows, without those that are undecided."""
    tokens = zip(greedy, screened.likeliest(hidden[greedy]), strict=True)
    return {i: Chosen(token=token) for i, token in tokens if token is not None}


def _exact(screened: ScreenedHead, hidden: Tensor, logits: Tensor, plain: Sequence[int]) -> dict[int, int]:
    if not plain:
        return {}
    every = len(plain) == len(logits)
    tokens = screened.likeliest_of(*((hidden, logits) if every else (hidden[plain], logits[plain])))
    return {i: token for i, token in zip(plain, tokens, strict=True) if token is not None}
