"""Which adapters shall answer, as the options of `lorayard submit` say it: one, or several by weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from lorayard.composition import Composition, PolicyName, SignName
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterOptions:
    """Who shall answer."""

    adapter: Annotated[list[str] | None, Parameter(negative="")] = None
    """org/model/task, with @version or not; base for the base model. Without it the yard chooses. Several, or
    one with a weight behind it (org/model/task=0.7), answer together; a weight that is not said is 1."""
    compose: PolicyName | None = None
    """How several adapters become one: sum is the usual."""
    density: float | None = None
    """With --compose ties, dare_linear, dare_ties or magnitude_prune: the share of values kept."""
    majority_sign: SignName | None = None
    """With --compose ties or dare_ties: which sign wins where adapters disagree."""
    svd_rank: int | None = None
    """With --compose svd: the rank; without it the largest of the adapters."""
    compose_seed: int | None = None
    """With --compose dare_linear or dare_ties: another random choice of values."""

    @property
    def single(self) -> str | None:
        """The one adapter that is named, where it is no composition."""
        return self.adapter[0] if self.adapter and self.composition is None else None

    @property
    def composition(self) -> Composition | None:
        """Several adapters, or one with a weight or a policy.

        Raises:
            CommandError: a weight is no number, an adapter is named twice, or there is none.
        """
        given = self.adapter or []
        settings = (self.compose, self.density, self.majority_sign, self.svd_rank, self.compose_seed)
        if len(given) < 2 and not any("=" in one for one in given) and settings == (None,) * len(settings):
            return None
        if not given:
            raise _bad("adapter", "--compose and its settings need the adapters: --adapter NAME=WEIGHT")
        weighed: dict[str, float] = {}
        for one in given:
            name, weight = _weighed(one)
            if name in weighed:
                raise _bad("adapter", f"{name} is named twice")
            weighed[name] = weight
        return Composition(
            weighed,
            policy=self.compose or "sum",
            density=self.density,
            majority_sign=self.majority_sign,
            svd_rank=self.svd_rank,
            seed=self.compose_seed,
        )


def _weighed(text: str) -> tuple[str, float]:
    name, _, weight = text.partition("=")
    try:
        return name, float(weight) if "=" in text else 1.0
    except ValueError as error:
        raise _bad("adapter", f"{text!r}: {weight!r} is no weight; write NAME=0.7") from error


def _bad(field: str, message: str) -> CommandError:
    return CommandError(ExitCode.BAD_INPUT, "bad_input", message, field=field)


UNSAID = AdapterOptions()
