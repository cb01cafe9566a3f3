from typing import Any

sdpa_attention_forward: Any
