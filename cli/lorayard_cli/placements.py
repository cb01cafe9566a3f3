"""Where adapters should be and are, as text."""

from __future__ import annotations

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.output import note, print_json, print_text
from lorayard_schemas.placement import PlacedAdapter, PlaceReply


def read_replicas(text: str) -> tuple[int | None, int | None]:
    """`MIN:MAX` with either left out, or one number that is both.

    Raises:
        CommandError: it is neither.
    """
    least, colon, most = text.partition(":")
    parts = (least, most) if colon else (text, text)
    if not all(part == "" or (part.isdecimal() and part.isascii() and len(part) < 7) for part in parts):
        raise _bad(text)
    if not text:
        raise _bad(text)
    low, high = (int(part) if part else None for part in parts)
    return low, high


def _bad(text: str) -> CommandError:
    message = f"{text!r} is no range: write MIN:MAX, MIN:, :MAX or one number"
    return CommandError(ExitCode.BAD_INPUT, "bad_input", message, field="replicas")


def tell_placed(adapter: str, reply: PlaceReply, *, as_json: bool) -> None:
    """Print what was declared."""
    assert reply.placement is not None, "it would have been refused"
    if as_json:
        print_json({"placement": reply.placement.model_dump(mode="json"), "warnings": reply.warnings})
        return
    print_text(f"{adapter}: {reply.placement.told}")
    for warning in reply.warnings:
        note(f"warning: {warning}")


def placement_lines(placed: PlacedAdapter) -> list[str]:
    """Where it should be, and is."""
    declared = "nothing" if placed.declared is None else placed.declared.told
    lines = [
        f"adapter    {placed.adapter}",
        f"declared   {declared}",
        f"tier       {placed.tier.value}, demand {placed.demand_rows:g} rows",
        f"should be  {_should(placed)}",
        f"is         {_is(placed)}{'' if placed.kept else '  (not yet as it should be)'}",
    ]
    if placed.short:
        lines.append(f"short      {placed.short} more than live workers can take")
    return [*lines, *(f"trouble    {told}" for told in placed.trouble)]


def _should(placed: PlacedAdapter) -> str:
    parts = _parts(("merged into", placed.merged), ("at hand on", placed.replicas))
    if placed.allowed is not None:
        parts.append(f"nowhere but on {', '.join(placed.allowed) or 'workers that do not live'}")
    return "; ".join(parts) or "where its jobs bring it"


def _is(placed: PlacedAdapter) -> str:
    host = tuple(worker for worker in placed.in_host if worker not in placed.in_slot)
    parts = _parts(
        ("merged into", placed.is_merged), ("in a slot of", placed.in_slot), ("in memory of", host)
    )
    return "; ".join(parts) or "nowhere"


def _parts(*found: tuple[str, tuple[str, ...]]) -> list[str]:
    return [f"{what} {', '.join(workers)}" for what, workers in found if workers]
