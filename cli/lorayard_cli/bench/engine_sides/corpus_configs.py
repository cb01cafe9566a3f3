"""Broken adapter configurations: other methods, settings that change what weights mean, hostile JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG_NAME = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a refusal must say: a pattern for its reason, and the module or tensor it names."""

    reason: str
    module: str | None = None


def settings(**changes: Any) -> Callable[[Path], None]:
    """A spoiler that changes settings; `...` takes one out."""

    def spoil(folder: Path) -> None:
        path = folder / CONFIG_NAME
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) | changes
        kept = {name: value for name, value in config.items() if value is not ...}
        path.write_text(json.dumps(kept), encoding="utf-8")

    return spoil


def text(content: str | bytes) -> Callable[[Path], None]:
    """A spoiler that replaces the whole configuration."""
    data = content.encode() if isinstance(content, str) else content

    def spoil(folder: Path) -> None:
        (folder / CONFIG_NAME).write_bytes(data)

    return spoil


_HEAD = '{"peft_type": "LORA", "lora_alpha": 8, '
_NO_JSON = Claim("not a JSON object")

CONFIGS: Mapping[str, tuple[Callable[[Path], object], Claim]] = {
    "another-method": (settings(peft_type="LOHA"), Claim("peft_type: .*not 'LOHA'")),
    "no-method": (settings(peft_type=...), Claim("peft_type: Field required")),
    "alpha-missing": (settings(lora_alpha=...), Claim("lora_alpha: Field required")),
    "alpha-zero": (settings(lora_alpha=0), Claim("lora_alpha: .*greater than 0")),
    "alpha-negative": (settings(lora_alpha=-8), Claim("lora_alpha: .*greater than 0, not -8")),
    "alpha-infinite": (text(_HEAD.replace("8", "1e999") + '"r": 4}'), Claim("lora_alpha: .*finite")),
    "alpha-nan": (settings(lora_alpha=float("nan")), Claim("lora_alpha: ")),
    "alpha-of-a-module-negative": (settings(alpha_pattern={"q_proj": -1}), Claim("alpha_pattern.q_proj: ")),
    "rank-zero": (settings(r=0), Claim("r: .*greater than or equal to 1, not 0")),
    "rank-negative": (settings(r=-4), Claim("r: .*not -4")),
    "rank-huge": (settings(r=10**18), Claim("r: .*4096")),
    "rank-of-5000-digits": (text(_HEAD + '"r": ' + "9" * 5000 + "}"), _NO_JSON),
    "rank-a-text": (settings(r="4"), Claim("r: .*integer")),
    "rank-a-fraction": (settings(r=4.5), Claim("r: .*integer")),
    "rank-of-a-module-zero": (settings(rank_pattern={"q_proj": 0}), Claim("rank_pattern.q_proj: ")),
    "regex-bomb-in-a-pattern": (settings(rank_pattern={"(a+)+$": 4}), Claim("pattern key")),
    "a-pattern-per-atom": (
        settings(alpha_pattern={f"q_proj{i}": 4 for i in range(30_000)}),
        Claim("alpha_pattern: 30000 keys"),
    ),
    "regex-bomb-in-targets": (
        settings(target_modules="(([a-z._]|[a-z0-9._])+)+[^a-z]{2}$"),
        Claim("target_modules"),
    ),
    "targets-no-regex": (settings(target_modules="(("), Claim("target_modules: .*missing .* character 2")),
    "targets-nested-2000-deep": (
        settings(target_modules="(" * 2000 + ")" * 2000),
        Claim("target_modules: .*nested more than 32 deep at character 33"),
    ),
    "targets-repeated-in-repeats": (
        settings(exclude_modules="(?:(?:.?){50000}){50000}"),
        Claim("exclude_modules: .*a repeat of more than 64 times at character 10"),
    ),
    "targets-doubled-30-times": (
        settings(target_modules="(?:" * 30 + ".?" + ")+" * 30),
        Claim("target_modules: .*repeats make more than 10000 elements"),
    ),
    "targets-recursive": (
        settings(target_modules="(?:(?R))*"),
        Claim(r"target_modules: .*unsupported group '\(\?R' at character 4"),
    ),
    "targets-nothing": (settings(target_modules=["nothing"]), Claim("target_modules")),
    "dora-without-magnitudes": (
        settings(use_dora=True),
        Claim("use_dora is true, but its lora magnitude_vector is missing"),
    ),
    "bias-without-biases": (
        settings(lora_bias=True),
        Claim("lora_bias is true, but its lora bias is missing"),
    ),
    "saved-modules-that-are-missing": (settings(modules_to_save=["lm_head"]), Claim("modules_to_save")),
    "layers-replicated": (settings(layer_replication=[[0, 2]]), Claim("layer_replication")),
    "activated-lora": (settings(alora_invocation_tokens=[1]), Claim("activated LoRA")),
    "rewrites-the-base": (settings(init_lora_weights="pissa"), Claim("'pissa' rewrites the base weights")),
    "a-setting-of-the-future": (settings(use_quantum=True), Claim("use_quantum: unknown setting")),
    "config-empty": (text(""), _NO_JSON),
    "config-a-list": (text("[]"), _NO_JSON),
    "config-cut-off": (text(_HEAD), _NO_JSON),
    "config-not-utf-8": (text(b'\xff\xfe{"r": 4}'), _NO_JSON),
    "config-nested-deeply": (text(_HEAD + '"r": 4, "x": ' + "[" * 100_000 + "]" * 100_000 + "}"), _NO_JSON),
    "config-of-2-mb": (text(_HEAD + '"r": 4, "x": "' + "x" * (2 << 20) + '"}'), Claim("bytes, more than")),
}
"""Name -> how to break a sound folder, and what the refusal must say."""
