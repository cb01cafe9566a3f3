"""`lorayard adapters merge`: several versions as one new one, with its recipe on record."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from lorayard import AdapterRecord, Client, Composition, PushReport
from lorayard.composition import PolicyName, SignName, checked_composition
from lorayard.registry.publication import PushOptions, check_said
from lorayard_cli.commands.adapter_files import NOTHING_SAID, Said
from lorayard_cli.connection import client
from lorayard_cli.merging import MergePlan, check_target, plan_merge, read_weighted, refused
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, print_json, print_text, short_digest
from lorayard_cli.transfer_progress import megabytes, transfer_progress

MERGING = Group("Merging", sort_key=1)


@Parameter(name="*", group=MERGING)
@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How several become one; as a job's composition says it."""

    policy: PolicyName = "sum"
    """sum and cat add them exactly, and their ranks too; svd comes as near as a rank allows; priority takes
    each linear from the first that has it; the others merge value by value, and need parts of one rank."""
    density: float | None = None
    """ties, dare_linear, dare_ties, magnitude_prune: the share of values kept, over 0 and at most 1."""
    majority_sign: SignName | None = None
    """ties, dare_ties: which sign wins where parts disagree."""
    svd_rank: int | None = None
    """svd: left out, the largest of the parts."""
    seed: int | None = None
    """dare_linear, dare_ties: another random choice of values."""
    template: str | None = None
    """Which part's prompt template it gets, or none; must be said where they differ."""

    def composition(self, weights: dict[str, float]) -> Composition:
        """As the client takes it."""
        return Composition(
            weights,
            policy=self.policy,
            density=self.density,
            majority_sign=self.majority_sign,
            svd_rank=self.svd_rank,
            seed=self.seed,
        )


SUM = How()


async def merge(
    *part: str,
    name: str,
    version: str,
    how: How = SUM,
    said: Said = NOTHING_SAID,
    activate: Annotated[bool, Parameter(negative="")] = False,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Make one new version of several, and put it into the yard's store; its record tells of what and how.

    It answers as a request that composes the same parts, and the same recipe gives the same bytes. Only
    tenants that may use every part may use it, unless --tenant says otherwise.

    Parameters
    ----------
    part
        name@version with :WEIGHT behind it or not (1); a name is its newest version in the store.
    name
        {org}/{model-family}/{task}
    version
        Never changes its bytes once it is pushed.
    activate
        Have a worker try it, then let it serve; ends with 5 and the reason where it is refused.
    """
    if not part:
        raise refused("part", "name the adapters that it is to be made of")
    _check(name, version, said)
    async with client(yard) as connected:
        made = await _made(connected, part, how, said, name=name, version=version)
        if activate:
            if not output.json:
                note(f"{made.record.label} is in the store; a worker tries it")
            record = await connected.adapters.activate(made.record.label, reason=said.why)
            made = replace(made, record=record)
    if output.json:
        print_json(
            {
                "adapter": made.record.model_dump(mode="json"),
                "sent_bytes": made.sent_bytes,
                "size_bytes": made.size_bytes,
                "existing": made.existing,
            }
        )
    else:
        _tell(made)


def _check(name: str, version: str, said: Said) -> None:
    options = PushOptions(labels=said.labels(), tenants=said.tenant, reason=said.why)
    check_said(name=name, version=version, actor="", options=options)


async def _made(
    connected: Client, part: tuple[str, ...], how: How, said: Said, *, name: str, version: str
) -> PushReport:
    weights = read_weighted(part)
    composition = checked_composition(how.composition(weights))
    records = {spec: await connected.adapters.find(spec) for spec in weights}
    plan = plan_merge(composition, records, template_from=how.template, tenants=said.tenant)
    known = {record.label: record for record in await connected.adapters()}
    check_target(known.get(f"{name}@{version}"), plan, list(records.values()))
    with tempfile.TemporaryDirectory(prefix="lorayard-merge-") as place:
        folder = await _merged_folder(connected, list(records.values()), plan, Path(place))
        with transfer_progress("push") as shown:
            return await connected.adapters.push(
                folder,
                name=name,
                version=version,
                on_size=shown.size,
                on_bytes=shown.moved,
                labels=said.labels(),
                tenants=plan.tenants,
                reason=said.why,
                recipe=plan.recipe,
            )


async def _merged_folder(
    connected: Client, records: list[AdapterRecord], plan: MergePlan, place: Path
) -> Path:
    # Late: torch and PEFT come with `lorayard[worker]`, and take seconds to load.
    from lorayard_workers.adapters.merged_folder import write_merged
    from lorayard_workers.errors import RequestRefusedError

    folders: list[Path] = []
    with transfer_progress("fetch") as shown:
        shown.size(sum(file.size_bytes for record in records for file in record.files))
        for number, record in enumerate(records):
            folders.append(place / f"{number}-{record.version}")
            await connected.adapters.pull(record.label, folders[-1], on_bytes=shown.moved)
    target = place / "merged"
    try:
        await asyncio.to_thread(write_merged, plan.applied, folders, target, template=plan.template)
    except RequestRefusedError as error:
        raise refused("part", error.message) from error
    return target


def _tell(made: PushReport) -> None:
    record = made.record
    before = " (it was pushed before)" if made.existing else ""
    sent = f"{megabytes(made.sent_bytes)} of {megabytes(made.size_bytes)} MB sent"
    print_text(
        f"{record.label} is {record.state}{before}: {short_digest(record.digest)}, rank {record.rank}, {sent}"
    )
