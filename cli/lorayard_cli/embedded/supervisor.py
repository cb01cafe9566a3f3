"""Keeps a set of children running, and stops them in order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from lorayard_cli.embedded.backoff import RestartPolicy
from lorayard_cli.embedded.child import Child, ChildChange, ChildSpec, ChildState, OnChange, OnLine
from lorayard_cli.exit_codes import ExitCode
from lorayard_shared.errors import YardError
from lorayard_shared.process import end_tasks


class ChildGivenUpError(YardError):
    """A child cannot run until somebody changes something; its own last words say what."""

    def __init__(self, change: ChildChange) -> None:
        words = [line for line in change.last_words if line.startswith("error: ")] or list(change.last_words)
        reason = words[-1].removeprefix("error: ") if words else f"it ended with exit code {change.exit_code}"
        super().__init__(f"{change.name} cannot run: {reason}")
        self.name = change.name
        self.exit_code = ExitCode(change.exit_code or ExitCode.FAILED)


class Supervisor:
    """Owns the children and their tasks."""

    def __init__(self, *, policy: RestartPolicy, on_change: OnChange, on_line: OnLine) -> None:
        self._policy = policy
        self._on_change = on_change
        self._on_line = on_line
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.children: dict[str, Child] = {}
        self._given_up: asyncio.Future[ChildChange] = asyncio.get_running_loop().create_future()

    def start(self, spec: ChildSpec) -> Child:
        """Start a child and keep it running."""
        assert spec.name not in self.children
        child = Child(spec, self._policy, self._on_change, self._on_line)
        self.children[spec.name] = child
        self._tasks[spec.name] = asyncio.create_task(self._keep(child), name=f"child-{spec.name}")
        return child

    async def wait(self) -> None:
        """Until a child cannot run.

        Raises:
            ChildGivenUpError: always, once it returns.
        """
        raise ChildGivenUpError(await asyncio.shield(self._given_up))

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work unless a child is given up first; then the work is over too when this raises.

        Raises:
            ChildGivenUpError: a child cannot run.
        """
        doing = asyncio.create_task(work, name="supervised-work")
        failing = asyncio.create_task(self.wait(), name="child-given-up")
        try:
            await asyncio.wait({doing, failing}, return_when=asyncio.FIRST_COMPLETED)
            await (failing if failing.done() else doing)
        finally:
            # Not cancelled only once: work that lost the cancel waits for that child until its own limit.
            await end_tasks([doing, failing])

    async def stop(self, names: Iterable[str]) -> None:
        """Stop these children together, and wait until they are gone."""
        wanted = [name for name in names if name in self.children]
        await asyncio.gather(*(self.children[name].stop() for name in wanted))
        await asyncio.gather(*(self._tasks[name] for name in wanted), return_exceptions=True)

    async def dismiss(self, name: str) -> None:
        """Stop a child for good: another one may have its name."""
        await self.stop([name])
        self.children.pop(name, None)
        self._tasks.pop(name, None)

    def kill(self) -> None:
        """End every child at once."""
        for child in self.children.values():
            child.kill()

    async def _keep(self, child: Child) -> None:
        try:
            change = await child.run()
        except OSError as error:  # no process could be made: memory, descriptors, a vanished interpreter
            change = ChildChange(
                name=child.spec.name, state=ChildState.GIVEN_UP, exit_code=1, last_words=(f"error: {error}",)
            )
        if change.state is ChildState.GIVEN_UP and child.spec.vital and not self._given_up.done():
            self._given_up.set_result(change)
