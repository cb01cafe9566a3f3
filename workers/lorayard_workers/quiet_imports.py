"""Import it before transformers: some libraries chat on stderr while they are imported, and there a
worker's log goes.

transformers imports torchao where that is installed.
"""

from __future__ import annotations

import logging

_CHATTY = {
    "torchao": "says which of its GPU extensions this machine cannot load",
    "torch.utils._pytree": "says what is deprecated of what torchao does",
}

for _name in _CHATTY:
    logging.getLogger(_name).setLevel(logging.ERROR)
