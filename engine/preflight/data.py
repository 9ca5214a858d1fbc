"""What a dataset says against a run on it: rows with errors, little audio, nothing held out. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.preflight import findings, forecast
from engine.preflight.facts import Facts
from engine.types import Level, PreflightItem, RunConfig

LITTLE_MIN, ENOUGH_MIN = 3.0, 10.0


def rows(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    """Rows that still have errors, by the share of steps that would learn from one."""
    data = facts.dataset
    count = data.train_count + data.validation_count + data.test_count
    if not data.unresolved:
        yield findings.ok("rows", f"None of the {count} rows has an error that nobody decided about.")
        return
    row_tokens = max(1.0, sum(forecast.lengths(facts)) / max(1, len(facts.row_sec)))
    rows_a_step = (
        max(1, round(config.batch_tokens / row_tokens)) * config.accumulation if forecast.lengths(facts) else 1
    )
    tainted = 1.0 - (1.0 - data.bad_row_share) ** rows_a_step
    told = (
        f"{data.unresolved} of {count} rows still have errors ({data.bad_row_share:.0%}): with about {rows_a_step} "
        f"rows a step, {tainted:.0%} of the steps learn from at least one."
    )
    if config.method == "full":
        yield PreflightItem(
            check="rows",
            level=Level.REFUSE,
            text=f"{told} Full fine-tuning takes errors into every weight: mend them on the Data page first.",
            changes=(findings.change(config, "method", "lora", "an adapter limits what bad rows can spoil"),),
        )
    elif config.accepted_by:
        yield PreflightItem(check="rows", level=Level.WARN, text=f"{told} {config.accepted_by} accepted that.")
    else:
        mend = "Mend them on the Data page, or put your name under Accepted by."
        yield PreflightItem(check="rows", level=Level.REFUSE, text=f"{told} {mend}", override=findings.OVERRIDE)


def minutes(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    """How much there is to train on."""
    minutes = facts.total_sec / 60
    if not facts.row_sec:
        yield PreflightItem(
            check="minutes", level=Level.REFUSE, text="No row is for training: prepare the dataset again with some."
        )
    elif minutes < LITTLE_MIN:
        yield PreflightItem(
            check="minutes",
            level=Level.WARN,
            text=f"{minutes:.1f} minutes are little: they show whether training works, not how good a voice gets.",
        )
    elif minutes < ENOUGH_MIN and config.method == "full":
        text = f"{minutes:.1f} minutes are few for full fine-tuning, which recites a small set; LoRA holds back more."
        yield PreflightItem(
            check="minutes",
            level=Level.WARN,
            text=text,
            changes=(findings.change(config, "method", "lora", "trains a small adapter instead"),),
        )
    else:
        yield findings.ok("minutes", f"{minutes:.1f} minutes to train on, in {len(facts.row_sec)} rows.")


def validation(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    """Whether anything is held out, and whether a monitor needs it."""
    held_out = facts.dataset.validation_count
    if held_out:
        yield findings.ok("validation", f"{held_out} rows are held out to validate with.")
        return
    needy = [name for name in config.stop_when if name in ("validation_rising", "talks_to_itself")]
    text = "No row is held out: there will be no validation curve, and nothing shows where the run begins to recite."
    if needy:
        changed = tuple(name for name in config.stop_when if name not in needy)
        change = findings.change(config, "stop_when", changed, "leaves only monitors that can speak")
        yield PreflightItem(
            check="validation",
            level=Level.REFUSE,
            text=f"{text} Stop when names {', '.join(needy)}, which could never happen.",
            changes=(change,),
        )
    else:
        yield PreflightItem(check="validation", level=Level.WARN, text=f"{text} Prepare the data with a share for it.")
