"""What to do next with a dataset: the field's decision tree from LoRA to full fine-tuning, as rules. Pure.

LoRA changes how a model leans, full fine-tuning what it is: LoRA comes first, a short one before a long one, and full
only once listening has shown that the data is right and the adapter is not enough. Knows no files and no store; what
reviewers heard comes in as verdicts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from engine.types import (
    EARLIER_REASON_CODES,
    REASON_CODES,
    Advice,
    Dataset,
    Outcome,
    Reason,
    RunConfig,
    Verdict,
    reason_code,
)

CLEAN, MORE_DATA, PREFLIGHT, LORA, LISTEN, GENTLER, STRONGER, FULL, KEEP, MEND = (
    "clean_data",
    "more_data",
    "lora_preflight",
    "lora",
    "listen",
    "gentler",
    "stronger",
    "full",
    "keep",
    "mend",
)
ACTIONS = (CLEAN, MORE_DATA, PREFLIGHT, LORA, LISTEN, GENTLER, STRONGER, FULL, KEEP, MEND)

# What reviewers name when an adapter has learned too much of its clips, and when too little of the voice.
OVER = frozenset({"dropped word", "merged word", "inserted speech", "too fast", "noise", "monotone"})
UNDER = frozenset({"wrong timbre", "accent drift"})
_CODES = re.compile(rf"\b({'|'.join((*EARLIER_REASON_CODES, *REASON_CODES))})\b")  # as explanations name them
TOO_LITTLE_MIN, LITTLE_MIN, ENOUGH_MIN = 1.0, 3.0, 10.0
PREFLIGHT_STEPS = 500  # a run of at most so many steps is a LoRA preflight
ROWS_A_STEP = 8  # with which the share of tainted steps is told

TREE = "Instavar, LoRA or full SFT for voice models (2026): decision tree"
QWEN = "Instavar, Qwen3-TTS LoRA fine-tuning (2026)"
COSY = "Instavar, CosyVoice 3 LoRA rerun (2026)"
JOINT = "CosyVoice Flow LoRA fine-tune: debugging walkthrough (2025), chapter 5"


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A run that trained on the dataset, with what was decided of its candidates."""

    config: RunConfig
    steps: int
    checkpoints: int
    verdicts: Sequence[Verdict] = ()

    @property
    def is_preflight(self) -> bool:
        return self.config.method == "lora" and 0 < self.config.max_steps <= PREFLIGHT_STEPS

    @property
    def is_judged(self) -> bool:
        return any(verdict.outcome is not Outcome.UNDECIDED for verdict in self.verdicts)

    @property
    def has_passed(self) -> bool:
        return any(verdict.outcome is Outcome.PASS for verdict in self.verdicts)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """`minutes` are of the rows that are trained on. `runs` are all that trained on this dataset, newest first."""

    dataset: Dataset
    minutes: float
    runs: Sequence[PastRun] = ()
    full_sft: bool = True  # the backend can
    presets: Sequence[str] = ()  # the backend's, by name


def advise(situation: Situation) -> Advice:
    """The first rule of the tree that has something to say; the last one always has."""
    rules: tuple[Callable[[Situation], Advice | None], ...] = (
        _clean_first,
        _too_little,
        _short_run_first,
        _after_full,
        _listen_first,
        _passed,
        _by_ear,
    )
    advice = next(found for rule in rules if (found := rule(situation)) is not None)
    known = advice.preset if advice.preset in situation.presets else ""
    return Advice(
        action=advice.action, title=advice.title, reasons=advice.reasons, hints=_hints(situation), preset=known
    )


def heard(verdicts: Iterable[Verdict]) -> Counter[str]:
    """How many failed candidates each reason code was named for."""
    counts: Counter[str] = Counter()
    for verdict in verdicts:
        if verdict.outcome is Outcome.FAIL:
            told = " ".join(f.explanation for f in verdict.findings if f.outcome is Outcome.FAIL)
            counts.update({reason_code(said) for said in _CODES.findall(told)})
    return counts


# ---------------------------------------------------------------------------------------------------------------- rules
def _clean_first(situation: Situation) -> Advice | None:
    data = situation.dataset
    if not data.unresolved:
        return None
    tainted = 1.0 - (1.0 - data.bad_row_share) ** ROWS_A_STEP
    return Advice(
        action=CLEAN,
        title="Mend the data before any long run.",
        reasons=(
            Reason(
                text=f"{data.unresolved} errors are undecided and {data.bad_row_share:.0%} of the rows are bad: with "
                f"{ROWS_A_STEP} rows a step, {tainted:.0%} of the steps learn from at least one.",
                source=TREE,
            ),
            Reason(text="Full fine-tuning is never launched before the manifest is clean.", source=TREE),
        ),
    )


def _too_little(situation: Situation) -> Advice | None:
    if situation.minutes >= TOO_LITTLE_MIN:
        return None
    return Advice(
        action=MORE_DATA,
        title="Record more: this is a short reference, not a dataset.",
        reasons=(
            Reason(
                text=f"{situation.minutes * 60:.0f} s of labelled speech: full fine-tuning needs labelled rows, not a "
                "longer prompt, and even LoRA recites so little.",
                source=TREE,
            ),
            Reason(text="9 minutes in 50 rows have been enough; 10 to 30 minutes are a practical target.", source=QWEN),
        ),
        preset="gentle",
    )


def _short_run_first(situation: Situation) -> Advice | None:
    lora = [run for run in situation.runs if run.config.method == "lora" and run.checkpoints >= 2]
    if lora:
        return None
    return Advice(
        action=PREFLIGHT,
        title="Start with a LoRA preflight: 100 to 500 steps, at least two checkpoints.",
        reasons=(
            Reason(text="It shows whether this dataset moves the model in the right direction.", source=TREE),
            Reason(
                text="Speak the same script from each checkpoint and from the base; compare voice, accent, pace.",
                source=TREE,
            ),
        ),
        preset="lora-preflight",
    )


def _after_full(situation: Situation) -> Advice | None:
    full = [run for run in situation.runs if run.config.method == "full" and run.checkpoints]
    if not full:
        return None
    if full[0].has_passed:
        return Advice(
            action=KEEP,
            title="Promote what passed; another run needs a reason that can be heard.",
            reasons=(Reason(text="A candidate of the full fine-tuning passed every tier.", source=TREE),),
        )
    if not full[0].is_judged:
        return _listen("the full fine-tuning", "The best checkpoint is rarely the last one: hear early ones as well.")
    if heard(full[0].verdicts).total() and _leans(heard(full[0].verdicts), OVER):
        return Advice(
            action=GENTLER,
            title="Go back to LoRA: full fine-tuning forgot how to speak.",
            reasons=(
                Reason(
                    text=f"Reviewers heard {_told(heard(full[0].verdicts), OVER)}. A full run of 506 million weights "
                    "failed after epoch 1 where an adapter of 2 million went on improving for 12.",
                    source=COSY,
                ),
            ),
            preset="gentle",
        )
    return None


def _listen_first(situation: Situation) -> Advice | None:
    lora = _lora(situation)
    if any(run.is_judged for run in lora):
        return None
    what = "the LoRA preflight" if all(run.is_preflight for run in lora) else "the LoRA run"
    return _listen(what, "Loss does not find the best checkpoint; keep them all until they were heard.")


def _passed(situation: Situation) -> Advice | None:
    passed = [run for run in _lora(situation) if run.has_passed]
    if not passed:
        return None
    if all(run.is_preflight for run in passed):
        return Advice(
            action=LORA,
            title="Train the longer LoRA run: the preflight moved the model in the right direction.",
            reasons=(
                Reason(text="A candidate of the preflight passed; save often and keep every checkpoint.", source=TREE),
            ),
            preset="default",
        )
    return Advice(
        action=KEEP,
        title="Promote what passed; another run needs a reason that can be heard.",
        reasons=(
            Reason(
                text="A LoRA candidate passed every tier. Full fine-tuning is for a voice that must become the model's "
                "own over hundreds of lines.",
                source=TREE,
            ),
        ),
    )


def _by_ear(situation: Situation) -> Advice | None:
    """Candidates were judged and none passed: the reasons say in which direction."""
    lora = _lora(situation)
    counts = heard(verdict for run in lora for verdict in run.verdicts)
    if _leans(counts, OVER):
        return Advice(
            action=GENTLER,
            title="Train more gently, and judge lower scales and earlier checkpoints.",
            reasons=(
                Reason(
                    text=f"Reviewers heard {_told(counts, OVER)}: signs of an adapter that learned too much of its "
                    "clips.",
                    source=QWEN,
                ),
                Reason(text="What helped: half the rank, dropout 0.15, an end before the loss gets low.", source=JOINT),
            ),
            preset="gentle",
        )
    if _leans(counts, UNDER):
        return _escalate(situation, counts)
    return Advice(
        action=MEND,
        title="Look at the data and the recipe again: no direction can be heard.",
        reasons=(
            Reason(
                text="If a model does not move in the right direction under LoRA, full fine-tuning is not the next "
                "move: the dataset or the recipe is probably wrong.",
                source=TREE,
            ),
        ),
    )


def _escalate(situation: Situation, counts: Counter[str]) -> Advice:
    why = Reason(text=f"Reviewers heard {_told(counts, UNDER)}: the adapter does not reach the voice.", source=TREE)
    if all(run.is_preflight for run in _lora(situation)):
        return Advice(
            action=LORA,
            title="Train the longer LoRA run: a preflight is too short to reach the voice.",
            reasons=(why,),
            preset="default",
        )
    if not situation.full_sft or situation.minutes < ENOUGH_MIN:
        lacking = (
            "this model cannot be" if not situation.full_sft else f"{situation.minutes:.0f} minutes are too few to be"
        )
        return Advice(
            action=STRONGER,
            title="Train a stronger adapter: twice the rank, more Linears, or the decoder as well.",
            reasons=(why, Reason(text=f"Full fine-tuning would be next, and {lacking} trained in full.", source=TREE)),
            preset="default",
        )
    return Advice(
        action=FULL,
        title="Escalate to full fine-tuning, with the whole memory stack.",
        reasons=(
            why,
            Reason(
                text="LoRA has proven that the data is clean and under-adapts; that is when to escalate.", source=TREE
            ),
            Reason(
                text="Checkpointing for activations, paged 8-bit AdamW for its state, every checkpoint kept: the best "
                "one was step 2000 of 9000.",
                source=TREE,
            ),
        ),
        preset="full",
    )


# ---------------------------------------------------------------------------------------------------------------- hints
def _hints(situation: Situation) -> tuple[Reason, ...]:
    found = [
        Reason(text="Judge scales 0.2, 0.3, 0.35 and 0.5 beside 1.0: 1.0 often over-steers.", source=QWEN),
        Reason(text="Save at least every two epochs; loss alone chooses no checkpoint.", source=COSY),
    ]
    if situation.minutes < LITTLE_MIN:
        text = f"{situation.minutes:.1f} minutes show whether the pipeline works; for a judgement record 10 to 30."
        found.append(Reason(text=text, source=QWEN))
    elif situation.minutes < ENOUGH_MIN:
        text = "With this little, rank 8 and dropout 0.1 or more recite less than rank 16."
        found.append(Reason(text=text, source=JOINT))
    if not situation.dataset.validation_count:
        found.append(Reason(text="Hold rows out by recording: without them nothing shows overfitting.", source=TREE))
    return tuple(found)


def _listen(what: str, why: str) -> Advice:
    return Advice(
        action=LISTEN,
        title=f"Sweep and judge {what} before the next run.",
        reasons=(Reason(text=why, source=TREE),),
    )


def _lora(situation: Situation) -> list[PastRun]:
    """The LoRA runs that count: a longer one says more than any preflight."""
    made = [run for run in situation.runs if run.config.method == "lora" and run.checkpoints]
    return [run for run in made if not run.is_preflight] or made


def _leans(counts: Counter[str], codes: frozenset[str]) -> bool:
    """More than half of what was named is of these codes."""
    return sum(counts[code] for code in codes) * 2 > counts.total()


def _told(counts: Counter[str], codes: frozenset[str]) -> str:
    return ", ".join(f"{code} ({count})" for code, count in counts.most_common() if code in codes)
