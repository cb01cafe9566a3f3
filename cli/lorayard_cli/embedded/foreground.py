"""Run a yard in a terminal: its children's lines, what to type next, and Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

from lorayard_cli.embedded.child import ChildChange, ChildState
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import TINY_ADAPTERS
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_cli.exit_codes import NO_CRASH, ExitCode
from lorayard_cli.output import err, note, plain, print_json
from lorayard_workers.model_store import GEMMA3_270M, TINY

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")


async def run_in_foreground(plan: YardPlan, *, as_json: bool) -> int:
    """Until a signal, or until a child cannot run.

    Raises:
        YardError: it did not start, or a child cannot run.
    """
    yard = EmbeddedYard(plan, on_line=_print_line, on_change=_print_json_change if as_json else _print_change)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, _on_signal, yard, stopping)
    note(f"starting a yard in {plan.data} ...")
    running = asyncio.create_task(_run(yard, as_json=as_json), name="yard")
    asked = asyncio.create_task(stopping.wait(), name="stop-asked")
    await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if stopping.is_set() and not yard.stopping:
        running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    if as_json:
        print_json({"event": "stopped"})
    note("the yard has stopped")
    return ExitCode.OK


def _on_signal(yard: EmbeddedYard, stopping: asyncio.Event) -> None:
    if stopping.is_set():
        note("stopping at once")
        yard.kill()
        return
    note("\nstopping: workers finish what they run (once more to stop at once)")
    stopping.set()


async def _run(yard: EmbeddedYard, *, as_json: bool) -> None:
    async with yard:
        if as_json:
            told = {"url": yard.url, "prefix": yard.plan.prefix, "gateway": yard.gateway_url}
            print_json({"event": "up", **told, "children": yard.pids})
        else:
            _welcome(yard)
        await yard.wait()


def _welcome(yard: EmbeddedYard) -> None:
    plan = yard.plan
    adapter, prompt = _example(plan)
    workers = "1 worker" if plan.workers == 1 else f"{plan.workers} workers"
    console = err()
    console.print(f"\n[bold green]yard is up:[/] [bold]{yard.url}[/]  ({workers}, {plain(plan.model)})")
    if yard.gateway_url is not None:
        keys = (
            "asks for keys: `lorayard keys add TENANT`" if plan.gateway_keys else "for this machine, no keys"
        )
        console.print(f"OpenAI's API: [bold]{yard.gateway_url}/v1[/]  ({plain(keys)})")
    if yard.gateway_url is not None and plan.page is not None:
        console.print(f"the yard's page: [bold]{yard.gateway_url}/ui/[/]")
    console.print("In another terminal, in this folder:")
    for line in (
        f"lorayard submit --wait --adapter {adapter} {prompt}",
        "lorayard status",
        "lorayard adapters ls",
    ):
        console.print(f"  {plain(line)}", soft_wrap=True)
    console.print("Ctrl-C stops it.\n")


def _example(plan: YardPlan) -> tuple[str, str]:
    """An adapter and a prompt for the shell."""
    adapters = {GEMMA3_270M: "acme/gemma3-270m/keywords", TINY: TINY_ADAPTERS[0]}
    return adapters.get(plan.model, "base"), '"NATS is a message bus written in Go."'


def _print_line(name: str, line: str) -> None:
    colour = _COLOURS[sum(name.encode()) % len(_COLOURS)]
    err().print(f"[{colour}]{plain(name):>10}[/] | {plain(line)}", soft_wrap=True)


def _print_change(change: ChildChange) -> None:
    if change.state is ChildState.WAITING and change.exit_code in NO_CRASH:
        note(f"{change.name} has drained to be started anew (exit code {change.exit_code})")
    elif change.state is ChildState.WAITING:
        note(
            f"{change.name} ended unexpectedly ({_ending(change.exit_code)}); "
            f"starting it again in {change.retry_seconds:.2g} s"
        )

    elif change.state is ChildState.GIVEN_UP:
        note(f"{change.name} cannot run ({_ending(change.exit_code)}); its lines above say why")


def _print_json_change(change: ChildChange) -> None:
    _print_change(change)
    print_json(
        {
            "event": "child",
            "name": change.name,
            "state": change.state,
            "pid": change.pid,
            "exit_code": change.exit_code,
        }
    )


def _ending(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
