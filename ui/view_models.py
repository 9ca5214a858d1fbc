"""The models that can be fine-tuned here as HTML: what each can do or lacks, and the environment that it may need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from ui import view

if TYPE_CHECKING:
    from engine.studio import Environment
    from engine.types import BaseModel

HEAD = ("Model", "What it can do", "Environment")
# How an environment stands, as a person would say it.
STATES: Mapping[str, str] = {
    "missing": "not installed",
    "installing": "being installed",
    "unfinished": "interrupted: install again to go on",
    "broken": "what it shares with Earmark has moved: install again",
    "outdated": "its voice asks for other packages now: install again",
    "ready": "installed",
    "named": "your own interpreter",
}
REFERENCES: Mapping[str, str] = {
    "none": "without a reference",
    "optional": "after a reference if you like",
    "required": "always after a reference",
}


def models(found: Sequence[BaseModel], environments: Sequence[Environment]) -> str:
    """A row a model; what keeps one from being used stands where its abilities would."""
    by_name = {each.backend: each for each in environments}
    rows = [_row(model, by_name.get(model.name)) for model in found]
    inside = view.table(HEAD, rows, caption="Models that can be fine-tuned here")
    return f'<div class="em-models">{inside}</div>'


def _row(model: BaseModel, environment: Environment | None) -> tuple[str, ...]:
    own = "Earmark's" if environment is None else STATES[environment.state.value]
    size = f", {view.size(environment.bytes)}" if environment and environment.bytes else ""
    known = ", ".join(each for each in (model.name, model.licence) if each)
    name = f'{escape(model.title)}<div class="em-sentence"><small>{escape(known)}</small></div>'
    return name, f"<small>{escape(model.lacks)}</small>" if model.lacks else _able(model), f"{escape(own)}{size}"


def _able(model: BaseModel) -> str:
    spoken = REFERENCES.get(model.reference, model.reference)
    batch = "candidates share a batch" if model.mixes_rows else "candidates are rendered one after the other"
    told = f"{'LoRA and full' if model.full_sft else 'LoRA'} on {', '.join(model.parts)}; speaks {spoken}; {batch}."
    return escape(told)


def agreement(backend: str, share: float) -> str:
    """What the check of a training step found."""
    if share >= 1.0:
        return view.notice(f"{backend} is taught what it speaks: all of its own codes are predicted where they belong.")
    return view.notice(
        f"Only {share:.1%} of its codes are predicted where the training of {backend} puts them: a label is shifted "
        "or a part is fed wrongly. Do not train with this installation.",
        bad=True,
    )
