from typing import Any

sdpa_mask: Any
