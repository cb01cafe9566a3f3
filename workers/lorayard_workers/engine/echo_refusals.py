"""Requests that an echo engine refuses, with the codes and fields of a real one."""

from __future__ import annotations

from collections.abc import Container

from lorayard_workers.engine.composition import check_adapters
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import Composition, GenerationRequest
from lorayard_workers.errors import AdapterUnknownError, RequestRefusedError


def refuse(request: GenerationRequest, known: Container[str] | None) -> Failed | None:
    """Why the request cannot be answered, or None; `known` None: every digest."""
    if not request.prompt:
        return _failed(
            request,
            "empty_prompt",
            "the prompt is empty: send at least one character or message",
            at="prompt",
        )
    if request.composition is not None:
        return _refuse_composition(request, request.composition, known)
    if request.adapter is None or known is None or request.adapter in known:
        return None
    return _failed(request, "unknown_adapter", str(AdapterUnknownError(request.adapter)), at="adapter")


def _refuse_composition(
    request: GenerationRequest, composition: Composition, known: Container[str] | None
) -> Failed:
    digests = {part.digest for part in composition.parts} if known is None else known
    try:
        check_adapters(request, digests)
    except RequestRefusedError as error:
        return _failed(request, error.code, error.message, at=error.field)
    except AdapterUnknownError as error:
        return _failed(request, "unknown_adapter", str(error), at="composition")
    return _failed(
        request, "composition_unsupported", "an echo engine composes no adapters", at="composition"
    )


def _failed(request: GenerationRequest, code: str, message: str, *, at: str | None) -> Failed:
    return Failed(
        request_id=request.request_id, kind=FailureKind.PERMANENT, code=code, message=message, field=at
    )
