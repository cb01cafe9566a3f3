"""An adapter's identity: a digest of what it computes, not of how or where it is stored."""

from __future__ import annotations

import hashlib
import json

from lorayard_shared.adapters.files import AdapterFile


def adapter_digest(adapter: AdapterFile) -> str:
    """`sha256:<hex>` over module names, scales, shapes, weights and the prompt template.

    The same for any order of keys, layout or name of the file, and any spelling of the
    configuration that gives every module the same scale.
    """
    index = [
        [module, pair.scale.hex(), pair.a.dtype, pair.a.shape, pair.b.dtype, pair.b.shape]
        + ["embedding"] * pair.embedding
        + [[name, tensor.dtype, tensor.shape] for name, tensor in pair.vectors]
        for module, pair in sorted(adapter.pairs.items())
    ]
    digest = hashlib.sha256(b"lorayard-adapter-1\n")  # changes if this recipe ever does
    digest.update(json.dumps(index, separators=(",", ":")).encode())
    if adapter.prompt_template is not None:
        digest.update(f"template\n{adapter.prompt_template}\n".encode())
    for run in adapter.runs(t for _, pair in sorted(adapter.pairs.items()) for t in pair.tensors):
        digest.update(run)
    return f"sha256:{digest.hexdigest()}"
