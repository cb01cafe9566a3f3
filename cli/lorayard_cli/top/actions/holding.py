"""Pause, drain and resume: lanes, tenants, adapters and workers."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_cli.top.actions.action import Action, NothingToDo, Plan, Reason, Situation
from lorayard_cli.top.amounts import count
from lorayard_schemas.control import Cap, Controlled, Pause, label_of, thing_of
from lorayard_schemas.names import BASE
from lorayard_schemas.snapshot import AdapterRow, QueueRow, WorkerRow, YardSnapshot
from lorayard_schemas.strike import Strike

Thing = tuple[Controlled, str]


def things_of(about: object) -> list[Thing]:
    """What of a row can be paused."""
    match about:
        case QueueRow():
            named = [] if about.adapter is None or _is_no_version(about.adapter) else [about.adapter]
            adapters: list[Thing] = [(Controlled.ADAPTER, name) for name in named]
            return [(Controlled.LANE, about.lane.value), (Controlled.TENANT, about.tenant), *adapters]
        case AdapterRow():
            version = f"{about.name}@{about.version}"
            return [(Controlled.ADAPTER, about.name), (Controlled.ADAPTER, version)]
        case WorkerRow():
            return [(Controlled.WORKER, about.worker)]
        case Pause() | Cap():
            return [(about.kind, about.name)]
        case Strike():
            adapters = [] if about.adapter is None else [(Controlled.ADAPTER, about.adapter)]
            return [*adapters, *([] if about.tenant is None else [(Controlled.TENANT, about.tenant)])]
        case _:
            return []


def _is_no_version(adapter: str) -> bool:
    """An alias, or a composition: what it leads to is paused by name."""
    from lorayard_schemas.control import check_name

    try:
        check_name(Controlled.ADAPTER, adapter)
    except ValueError:
        return True
    return False


def paused(snapshot: YardSnapshot, thing: Thing) -> Pause | None:
    """The pause of just this."""
    return next((pause for pause in snapshot.pauses if pause.thing == thing_of(*thing)), None)


def waiting(snapshot: YardSnapshot, thing: Thing) -> int:
    """Unfinished jobs of it, as far as queues tell."""
    kind, name = thing
    match kind:
        case Controlled.LANE:
            return sum(queue.jobs for queue in snapshot.queues if queue.lane == name)
        case Controlled.TENANT:
            return sum(queue.jobs for queue in snapshot.queues if queue.tenant == name)
        case Controlled.ADAPTER if name == BASE or "@" not in name:
            names = (queue for queue in snapshot.queues if queue.adapter is not None)
            return sum(queue.jobs for queue in names if (queue.adapter or "").partition("@")[0] == name)
        case Controlled.ADAPTER:
            return sum(one.waiting for one in snapshot.adapters if f"{one.name}@{one.version}" == name)
        case Controlled.WORKER:
            return sum(one.rows_running for one in snapshot.workers if one.worker == name)


async def pause_plans(at: Situation) -> list[Plan]:
    """Pause it, or what its row is made of."""
    return [_pause(at, thing) for thing in _of(at)]


def _pause(at: Situation, thing: Thing) -> Plan:
    kind, name = thing
    label, control = label_of(kind, name), at.clients.yard.control

    async def run(reason: str) -> str:
        pause = await control.pause(kind, name, reason=reason)
        return f"{pause.label} is paused; r resumes it"

    return Plan(
        title=f"Pause {label}",
        effect=f"None of its jobs starts until somebody resumes it. {_now(at.picture.snapshot, thing)} "
        "What runs goes on; new jobs are taken and wait.",
        command=f"lorayard {kind}s pause {name} --why ...",
        reason=Reason.NEEDED,
        run=run,
    )


async def drain_plans(at: Situation) -> list[Plan]:
    """Empty it before maintenance."""
    return [_drain(at, thing) for thing in _of(at)]


def _drain(at: Situation, thing: Thing) -> Plan:
    kind, name = thing
    label, control = label_of(kind, name), at.clients.yard.control

    async def run(reason: str) -> str:
        pause = await control.begin_drain(kind, name, reason=reason)
        return f"{pause.label} drains; it stays so until r resumes it"

    return Plan(
        title=f"Drain {label}",
        effect=f"What has not begun goes back to the queue at once, what runs is finished, and nothing "
        f"starts until somebody resumes it. {_now(at.picture.snapshot, thing)}",
        command=f"lorayard {kind}s drain {name} --wait --why ...",
        reason=Reason.NEEDED,
        run=run,
    )


def _now(snapshot: YardSnapshot, thing: Thing) -> str:
    jobs = waiting(snapshot, thing)
    if thing[0] is Controlled.WORKER:
        return f"It runs {count(jobs)} now."
    return f"{count(jobs)} of its jobs {'is' if jobs == 1 else 'are'} unfinished now."


async def resume_plans(at: Situation) -> list[Plan]:
    """Let jobs of what is paused start again, and take caps away."""
    if isinstance(at.about, Cap):
        return [_uncap(at, at.about)]
    held = [(thing, paused(at.picture.snapshot, thing)) for thing in _of(at)]
    plans = [_resume(at, thing, pause) for thing, pause in held if pause is not None]
    if not plans:
        raise NothingToDo(f"not paused: {', '.join(label_of(*thing) for thing, _ in held)}")
    return plans


def _resume(at: Situation, thing: Thing, pause: Pause) -> Plan:
    kind, name = thing
    control = at.clients.yard.control

    async def run(reason: str) -> str:
        was = await control.resume(kind, name, reason=reason)
        return f"{was.label} is resumed"

    by = f"by {pause.by or 'somebody'}: {pause.why}"
    return Plan(
        title=f"Resume {pause.label}",
        effect=f"It was {pause.word} {by}. Its jobs start again at once. {_now(at.picture.snapshot, thing)}",
        command=f"lorayard {kind}s resume {name}",
        reason=Reason.KEPT,
        run=run,
    )


def _uncap(at: Situation, cap: Cap) -> Plan:
    control = at.clients.yard.control

    async def run(reason: str) -> str:
        await control.uncap(cap.kind, cap.name, reason=reason)
        return f"{cap.label} has no cap any more"

    return Plan(
        title=f"Uncap {cap.label}",
        effect=f"At most {cap.most} of its jobs are at workers at once now, by {cap.by or 'somebody'}: "
        f"{cap.why}. Then as many as there is room for.",
        command=f"lorayard {cap.kind}s uncap {cap.name}",
        reason=Reason.KEPT,
        run=run,
    )


def _of(at: Situation) -> Sequence[Thing]:
    things = things_of(at.about)
    if not things:
        raise NothingToDo("no lane, tenant, adapter or worker is chosen")
    return things


PAUSE = Action(
    key="P", word="pause", sentence="Start none of its jobs until it is resumed.", plans=pause_plans
)
DRAIN = Action(
    key="D", word="drain", sentence="Empty it before maintenance, and keep it so.", plans=drain_plans
)
RESUME = Action(
    key="r", word="resume", sentence="Let jobs of what is paused or drained start again.", plans=resume_plans
)
