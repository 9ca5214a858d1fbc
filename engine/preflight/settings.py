"""What a run's settings say against it: on this device, for this model, together, over this many steps. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.preflight import findings, forecast
from engine.preflight.facts import Facts
from engine.run_config import PAGED
from engine.types import Level, PreflightItem, RunConfig

MANY_STEPS_A_CHECKPOINT = 500


def checkpoints(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    """Whether there will be checkpoints to choose from, often enough."""
    count, total = forecast.checkpoint_count(config, facts), forecast.steps(config, facts)
    if not total:
        return
    every = total / count
    told = f"About {total} steps with {count} checkpoint{'s' if count > 1 else ''}"
    if count < forecast.FEW_CHECKPOINTS:
        half = max(1, total // 2)
        changes = [findings.change(config, "save_every", half, "gives two")] if config.save_unit == "steps" else []
        text = f"{told}: with fewer than two there is nothing to choose from by ear."
        yield PreflightItem(check="checkpoints", level=Level.WARN, text=text, changes=tuple(changes))
    elif every > MANY_STEPS_A_CHECKPOINT:
        text = f"{told}, one every {every:.0f} steps: the best one is often early, and what was not saved is lost."
        yield PreflightItem(check="checkpoints", level=Level.WARN, text=text)
    else:
        yield findings.ok("checkpoints", f"{told}.")


def machine(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    """What the device or the voice cannot do, or does only with other settings."""
    if facts.environment_fault:
        yield PreflightItem(check="environment", level=Level.WARN, text=facts.environment_fault)
    gpu = facts.device.startswith("cuda")
    if config.optimizer == PAGED and not gpu:
        yield findings.refused(
            config, "optimizer", "adamw", f"Paged 8-bit AdamW needs a CUDA card; this run is on {facts.device}."
        )
    if config.precision == "bf16" and facts.card and not facts.card.has_bf16:
        yield findings.refused(config, "precision", "fp32", facts.card.without_bf16)
    elif config.precision == "bf16" and not facts.has_bf16:
        text = f"{facts.device} computes bf16 slower than fp32 and gains nothing."
        yield PreflightItem(
            check="precision",
            level=Level.WARN,
            text=text,
            changes=(findings.change(config, "precision", "fp32", "is faster"),),
        )
    if config.gradient_checkpointing and facts.size and not any(part.saved.boundary for part in facts.size.parts):
        text = f"{config.backend} names no layers to compute twice."
        yield findings.refused(config, "gradient_checkpointing", False, text)
    if config.method == "full" and not facts.full_sft:
        yield findings.refused(config, "method", "lora", f"{config.backend} cannot be trained in full.")
    if config.method == "full" and gpu and config.optimizer != PAGED and not config.gradient_checkpointing:
        text = "Full fine-tuning on a card usually needs gradient checkpointing and the paged 8-bit optimizer together."
        yield PreflightItem(
            check="memory stack",
            level=Level.WARN,
            text=text,
            changes=(
                findings.change(config, "gradient_checkpointing", True, "keeps few activations"),
                findings.change(config, "optimizer", PAGED, "a quarter of the state, paged"),
            ),
        )


def learning(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    """Rates, adapters and batches that work against themselves over this many steps."""
    total = forecast.steps(config, facts)
    if total and config.warmup_steps >= total:
        fewer = max(0, total // 10)
        text = f"Warm-up is {config.warmup_steps} steps and the run has about {total}: it never reaches its rate."
        yield PreflightItem(
            check="warm-up",
            level=Level.WARN,
            text=text,
            changes=(findings.change(config, "warmup_steps", fewer, "a tenth of the run"),),
        )
    if config.method == "lora" and config.alpha > 4 * config.rank:
        text = f"Alpha is {config.alpha / config.rank:.0f} times the rank: it over-steers."
        yield PreflightItem(
            check="alpha",
            level=Level.WARN,
            text=text,
            changes=(findings.change(config, "alpha", 2.0 * config.rank, "twice the rank"),),
        )
    longest = max(forecast.lengths(facts), default=0)
    if longest > config.batch_tokens:
        text = (
            f"The longest row has about {longest} tokens and a batch holds {config.batch_tokens}: it is a batch alone."
        )
        change = findings.change(config, "batch_tokens", longest, "holds the longest row")
        yield PreflightItem(check="batch", level=Level.WARN, text=text, changes=(change,))
