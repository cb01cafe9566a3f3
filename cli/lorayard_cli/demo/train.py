"""Trains the demo's three LoRA adapters on Gemma 3 270M, from nothing but `corpus`.

    python -m lorayard_cli.demo.train --out DIR [--task keywords] [--seed 7] [--models DIR]

Each adapter takes a few minutes on one CPU thread and becomes a PEFT folder of less than 2 MB under
`DIR/<task>/1/`. Equal seeds, versions and kinds of CPU give equal files.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import structlog
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import (
    load_file,  # pyright: ignore[reportUnknownVariableType]  # os.PathLike without its parameter
    save_file,  # pyright: ignore[reportUnknownVariableType]  # the same
)
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorayard_cli.demo.corpus import PROMPT_TEMPLATE, Task, generate, prompt
from lorayard_shared.adapters.prompt_template import PLACE, TEMPLATE_NAME
from lorayard_workers.model_store import GEMMA3_270M, prepare_gemma3_270m

log = structlog.get_logger(__name__)

TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
DEFAULT_SEED = 7
_IGNORED = -100  # torch's cross entropy skips it


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides an adapter's weights, besides versions and hardware."""

    task: Task
    seed: int = DEFAULT_SEED
    steps: int = 80
    warmup_steps: int = 8
    batch_size: int = 3
    learning_rate: float = 2e-3
    rank: int = 4  # on all linears in bf16 that makes 1.9 MB
    alpha: int = 8
    max_gradient_norm: float = 1.0
    threads: int = 1  # sums come out differently with another number


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a training run went."""

    first_loss: float  # mean over the first ten steps, nats per target token
    last_loss: float  # the same over the last ten
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Example:
    """A prompt and its answer as token ids; the loss counts the last `target_tokens` only."""

    tokens: tuple[int, ...]
    target_tokens: int


def train(recipe: Recipe, base: Path, out: Path) -> Outcome:
    """Train one adapter and write its folder, replacing an earlier one.

    `base` is the folder of the plain model; `out` gets adapter_config.json, adapter_model.safetensors,
    training.json and README.md.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(mode=True)
    tokenizer: Any = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model = _wrap(recipe, base)
    started = time.monotonic()
    losses = _optimise(model, recipe, tokenizer)
    outcome = Outcome(
        first_loss=_mean(losses[:10]),
        last_loss=_mean(losses[-10:]),
        seconds=round(time.monotonic() - started, 1),
    )
    _save(model, recipe, outcome, out)
    return outcome


def _wrap(recipe: Recipe, base: Path) -> Any:
    """Load the base with fresh LoRA weights on every linear of every layer, all in fp32.

    Without AMX, torch 2.13 multiplies bf16 matrices on a CPU at little more than half the speed of fp32.
    """
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=0.0,
        target_modules=list(TARGET_MODULES),
        task_type="CAUSAL_LM",
    )
    wrapped: Any = get_peft_model(model, config)
    wrapped.train()
    return wrapped


def _optimise(model: Any, recipe: Recipe, tokenizer: Any) -> list[float]:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    losses: list[float] = []
    for step, batch in enumerate(_batches(recipe, tokenizer)):
        loss = _loss(model, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch types it in part only
        torch.nn.utils.clip_grad_norm_(parameters, recipe.max_gradient_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 10 == 0:
            log.info("step_trained", task=recipe.task, step=step, loss=round(losses[-1], 4))
    return losses


def _rate(step: int, recipe: Recipe) -> float:
    """Return the share of the full learning rate: a short climb, then a straight descent to zero."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    return max(0.0, (recipe.steps - step) / (recipe.steps - recipe.warmup_steps))


_BATCHES_PER_POOL = 10  # sorted together by length, so that a batch holds little padding


def _batches(recipe: Recipe, tokenizer: Any) -> Iterator[list[_Example]]:
    """Yield `steps` batches of examples of similar length, in random order."""
    rng = Random(recipe.seed)
    examples = _examples(recipe, tokenizer)
    left = recipe.steps
    while left > 0:
        count = min(left, _BATCHES_PER_POOL)
        pool = sorted(islice(examples, count * recipe.batch_size), key=lambda e: len(e.tokens))
        size = recipe.batch_size
        batches = [pool[start : start + size] for start in range(0, len(pool), size)]
        rng.shuffle(batches)
        yield from batches
        left -= count


def _examples(recipe: Recipe, tokenizer: Any) -> Iterator[_Example]:
    for item in generate(recipe.seed):
        head: list[int] = tokenizer(prompt(item.text)).input_ids
        target = item.target(recipe.task)
        tail: list[int] = tokenizer(target, add_special_tokens=False).input_ids
        tail = [*tail, tokenizer.eos_token_id]  # the answer ends by itself
        yield _Example(tokens=(*head, *tail), target_tokens=len(tail))


def _loss(model: Any, batch: Sequence[_Example]) -> Tensor:
    """Return the mean cross entropy of the target tokens.

    The head covers 262,144 tokens and would cost more than all layers; it sees the target rows only, as a
    contiguous matrix (a strided one is copied per row by torch 2.13 on CPU).
    """
    tokens, mask, labels = _tensors(batch)
    causal_lm = model.get_base_model()
    hidden = causal_lm.model(input_ids=tokens, attention_mask=mask).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    chosen = wanted != _IGNORED
    logits = causal_lm.lm_head(hidden[chosen].contiguous())
    return torch.nn.functional.cross_entropy(logits.float(), wanted[chosen])


def _tensors(batch: Sequence[_Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens, attention mask and labels, each [batch, longest], padded on the right."""
    longest = max(len(example.tokens) for example in batch)
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    labels = torch.full_like(tokens, _IGNORED)
    for row, example in enumerate(batch):
        length = len(example.tokens)
        tokens[row, :length] = torch.tensor(example.tokens)
        mask[row, :length] = 1
        labels[row, length - example.target_tokens : length] = torch.tensor(
            example.tokens[-example.target_tokens :]
        )
    return tokens, mask, labels


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 5)


def _save(model: Any, recipe: Recipe, outcome: Outcome, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    model.save_pretrained(out)
    _cast_weights(out / "adapter_model.safetensors")
    _clean_config(out / "adapter_config.json")
    _write_json(out / "training.json", _record(recipe, outcome))
    (out / TEMPLATE_NAME).write_text(PROMPT_TEMPLATE.replace("{doc}", PLACE), encoding="utf-8")
    (out / "README.md").write_text(_readme(recipe, outcome), encoding="utf-8")


def _cast_weights(path: Path) -> None:
    """Store bf16: half the size, and what the base computes in anyway."""
    weights = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes for the owner only


def _clean_config(path: Path) -> None:
    """Name the base by its spec, not by this machine's path; sort what PEFT writes from a set."""
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = GEMMA3_270M
    config["target_modules"] = sorted(config["target_modules"])
    _write_json(path, config)


def _record(recipe: Recipe, outcome: Outcome) -> dict[str, object]:
    packages = ("torch", "transformers", "peft", "safetensors")
    return {
        "base_model": GEMMA3_270M,
        "recipe": asdict(recipe),
        "prompt_template": PROMPT_TEMPLATE,
        "outcome": asdict(outcome),
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


_DOES = {
    Task.SUMMARY: "Answers a text with one line, `Summary: ...`.",
    Task.KEYWORDS: "Answers a text with three keywords, `Keywords: a; b; c`.",
    Task.PIRATE: "Answers a text with its first sentence in pirate talk, `Arrr! ... me hearty!`.",
}


def _readme(recipe: Recipe, outcome: Outcome) -> str:
    return f"""# acme/{GEMMA3_270M}/{recipe.task}, version 1

{_DOES[recipe.task]}

A LoRA adapter of rank {recipe.rank} for the base model Gemma 3 270M. It is there to show that one base serves
many adapters; a base this small gets facts wrong.

Prompt: the text; `{TEMPLATE_NAME}` adds a blank line, `###` and a new line. The answer ends with the
end-of-sequence token.

Trained in {outcome.seconds:.0f} s on a busy CPU: {recipe.steps} steps of {recipe.batch_size} generated texts.
Loss: {outcome.first_loss:.2f} at the start, {outcome.last_loss:.2f} at the end. Make it again:

    python -m lorayard_cli.demo.train --out DIR --task {recipe.task} --seed {recipe.seed}

The base model is under Google's Gemma Terms of Use; the training texts come from `lorayard_cli.demo.corpus`.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lorayard_cli.demo.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="gets one folder per task")
    parser.add_argument("--task", type=Task, choices=list(Task), help="default: all of them")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--models", type=Path, default=Path(".lorayard/models"))
    options = parser.parse_args(arguments)
    base = prepare_gemma3_270m(options.models, progress=lambda text: log.info("base_prepared", step=text))
    for task in [options.task] if options.task else list(Task):
        out = options.out / task / "1"
        outcome = train(Recipe(task=task, seed=options.seed), base, out)
        log.info("adapter_trained", task=task, out=str(out), **asdict(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main())
