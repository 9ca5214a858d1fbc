"""What a browser may ask of the data desk. A field that is not known is refused.

Knows names, bounds and defaults; turns filters into a query and numbers of a form into settings.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.types import PrepareSettings
from ui.data_rows import Query

MANY = 1_000_000


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OpenPath(Asked):
    """A source on this machine."""

    path: str = Field(max_length=4096)
    backend: str = Field(max_length=100)
    name: str = Field(default="", max_length=100)


class Slicing(OpenPath):
    """A long recording on this machine."""

    min_sec: float = Field(default=3.0, gt=0, le=600)
    max_sec: float = Field(default=12.0, gt=0, le=600)


class OpenUpload(Asked):
    """What becomes of an upload."""

    backend: str = Field(max_length=100)
    name: str = Field(default="", max_length=100)
    slice: bool = False
    min_sec: float = Field(default=3.0, gt=0, le=600)
    max_sec: float = Field(default=12.0, gt=0, le=600)


class Filters(Asked):
    """What of a draft is shown; `row` is the one that is open."""

    everything: bool = False
    check: str = Field(default="", max_length=100)
    severity: str = Field(default="", max_length=20)
    state: str = Field(default="", max_length=20)
    search: str = Field(default="", max_length=500)
    measure: str = Field(default="", max_length=20)
    low: float = -math.inf
    high: float = math.inf
    order: Literal["worst", "source"] = "worst"
    page: int = Field(default=1, ge=1, le=MANY)
    row: str = Field(default="", max_length=4096)
    at: int = -1

    def query(self) -> Query:
        """The filters alone."""
        return Query(**{k: v for k, v in self.model_dump().items() if k not in ("row", "at")})


class Acts(Asked):
    """What to do with rows: those named, or all that the filters leave. `check` narrows a repair to one check."""

    act: Literal["repair", "drop", "keep", "take_back", "transcribe"]
    rows: list[str] = Field(default_factory=list, max_length=MANY)
    filters: Filters | None = None
    check: str = Field(default="", max_length=100)
    by: str = Field(default="", max_length=200)


class Text(Asked):
    """A row's text."""

    row: str = Field(max_length=4096)
    text: str = Field(max_length=20_000)
    by: str = Field(default="", max_length=200)


class Texts(Asked):
    """Texts for consecutive rows of the source, from `row` on."""

    row: str = Field(max_length=4096)
    lines: list[str] = Field(max_length=MANY)
    by: str = Field(default="", max_length=200)


class Preparation(Asked):
    """The form of a preparation: shares in per cent. `given` is False for the backend's defaults."""

    name: str = Field(default="", max_length=100)
    given: bool = False
    trim: bool = False
    append_silence_sec: float = Field(default=0.0, ge=0, le=10)
    loudness_lufs: float | None = Field(default=None, ge=-60, le=0)
    validation_share: float = Field(default=10.0, ge=0, le=90)
    test_share: float = Field(default=0.0, ge=0, le=90)
    seed: int = Field(default=42, ge=0, lt=2**31)
    keep_errors: bool = False

    def settings(self, backend: str) -> PrepareSettings:
        """What the engine takes: shares of one."""
        return PrepareSettings(
            backend=backend,
            trim=self.trim,
            append_silence_sec=self.append_silence_sec,
            loudness_lufs=self.loudness_lufs,
            validation_share=self.validation_share / 100,
            test_share=self.test_share / 100,
            seed=self.seed,
            keep_errors=self.keep_errors,
        )
