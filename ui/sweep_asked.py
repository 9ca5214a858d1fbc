"""What a browser may ask of the Sweep page. A field that is not known is refused.

Knows names, bounds and defaults, and turns them into what the studio takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.studio import AutomaticSweep, Request
from engine.types import BadInput, Candidate, Reference, Tier

if TYPE_CHECKING:
    from engine.studio import Studio

NO_REFERENCE = "none"
OF_GATE = "gate:"  # before a gate's name: the control that it names


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Sweep(Asked):
    """The form. Numbers that people type come as text, so that half a number is no fault of the page."""

    run: str = Field(max_length=200)
    checkpoints: list[str] = Field(default_factory=list, max_length=2000)
    scales: str = Field(default="0.2, 0.3, 0.35, 0.5, 1.0", max_length=200)
    seeds: str = Field(default="42", max_length=200)
    script: str = Field(default="english-brief", max_length=60)
    tiers: list[Tier] = Field(default_factory=lambda: list(Tier))
    references: list[str] = Field(default_factory=list, max_length=50)
    # bases of other voices: "base:backend/voice", or what a gate names: "gate:name"
    controls: list[str] = Field(default_factory=list, max_length=50)
    settings: dict[str, float] = Field(
        default_factory=dict, max_length=50
    )  # those that were set; bounds are the engine's
    by: str = Field(default="", max_length=100)

    def request(self, studio: Studio) -> Request:
        """What is asked for. Raises BadInput for text that is no numbers, NotFound for a name that is not there."""
        own = studio.candidates(self.checkpoints, numbers(self.scales, "Scales", "0.3, 1.0"))
        bases = [_base(name) for name in self.controls if not name.startswith(OF_GATE)]
        request = Request(
            candidates=(*own, *bases),
            script=studio.script(self.script),
            seeds=whole_numbers(self.seeds),
            settings=self.settings,
            tiers=tuple(self.tiers),
            references=tuple(_reference(studio, name) for name in self.references) or (None,),
        )
        for name in self.controls:
            if name.startswith(OF_GATE):
                request = studio.with_control(request, name.removeprefix(OF_GATE))
        return request

    def automatic(self) -> AutomaticSweep:
        """The same for checkpoints that are not there yet."""
        return AutomaticSweep(
            run_id=self.run,
            scales=numbers(self.scales, "Scales", "0.3, 1.0"),
            script=self.script,
            tiers=tuple(self.tiers),
            seeds=whole_numbers(self.seeds),
            references=tuple(None if name == NO_REFERENCE else name for name in self.references) or (None,),
            settings=self.settings,
            controls=tuple(_base(name) for name in self.controls if not name.startswith(OF_GATE)),
            gates=tuple(name.removeprefix(OF_GATE) for name in self.controls if name.startswith(OF_GATE)),
        )


class Automatic(Sweep):
    """The form, and whether new checkpoints are swept with it."""

    on: bool


class Choose(Asked):
    """Candidates for blind listening; without a gate's name the default one is asked."""

    kind: Literal["gate", "preference", "abx", "cmos", "mos", "multi"]
    candidates: list[str] = Field(min_length=1, max_length=200)
    gate: str = Field(default="", max_length=200)

    @property
    def at_least(self) -> int:
        """How many candidates the kind needs; a multi-stimulus test has the base beside one."""
        return 1 if self.kind in ("gate", "mos", "multi") else 2


class Send(Choose):
    """The same for a reviewer."""

    reviewer: str = Field(max_length=200)


class Text(Asked):
    """A script in the editor."""

    text: str = Field(max_length=200_000)


class SaveScript(Text):
    name: str = Field(max_length=60)
    language: str = Field(max_length=10)


class RowReference(Asked):
    """A row of a prepared dataset as an audio prompt."""

    dataset: str = Field(max_length=200)
    row: str = Field(max_length=200)


class PathReference(Asked):
    """A recording on this machine as an audio prompt."""

    path: str = Field(max_length=4096)
    text: str = Field(default="", max_length=5000)
    name: str = Field(default="", max_length=100)


def numbers(text: str, name: str, example: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    try:
        return tuple(float(part) for part in text.replace(";", ",").split(",") if part.strip())
    except ValueError:
        raise BadInput(f"{name} should be numbers with commas between them, for example {example}.") from None


def whole_numbers(text: str) -> tuple[int, ...]:
    found = numbers(text, "Seeds", "42, 43")
    if any(number != int(number) for number in found):
        raise BadInput("Seeds should be whole numbers with commas between them, for example 42, 43.")
    return tuple(int(number) for number in found)


def _base(name: str) -> Candidate:
    backend, _, voice = name.removeprefix("base:").partition("/")
    return Candidate(backend=backend, voice=voice)


def _reference(studio: Studio, name: str) -> Reference | None:
    return None if name == NO_REFERENCE else studio.reference(name)
