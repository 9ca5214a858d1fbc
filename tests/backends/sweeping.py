"""A sweep through the studio over a checkpoint beside its base, as every backend that takes references must do it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from engine import dataset
from engine.studio import Studio
from engine.sweep import Request
from engine.types import Candidate, Clip, GenerationSettings, Line, Script, Tier
from engine.workspace import Workspace


def rendered(workspace: Workspace, tuned: Candidate, text: str, settings: GenerationSettings) -> list[Clip]:
    """Base and checkpoint over one short line."""
    with Studio(workspace, clock=lambda: 5.0, device="cpu") as studio:
        assert tuned.backend in studio.backends()
        return studio.render(Request(candidates=_beside_base(tuned), script=_script(text), settings=settings.flat))


def assert_swept_through_references(
    workspace: Workspace,
    tuned: Candidate,
    text: str,
    settings: GenerationSettings,
    *,
    model: type[Any],
    patch: pytest.MonkeyPatch,
) -> None:
    """Base and checkpoint after a recording of the dataset and after none: other clips, which say after what. The codec
    hears the reference once for all of them. What no measure can judge of random speech is said to be so, and is no
    error.
    """
    heard: list[Path] = []
    plain = model._encode

    def counted(self: Any, path: Path, **told: bool) -> Any:
        heard.append(path)
        return plain(self, path, **told)

    patch.setattr(model, "_encode", counted)
    prepared = dataset.listing(workspace.datasets)[0]
    with Studio(workspace, clock=lambda: 5.0, device="cpu") as studio:
        kept = studio.reference_of_row(prepared.id, dataset.utterances(prepared)[0].id).reference
        clips = studio.render(
            Request(
                candidates=_beside_base(tuned),
                script=_script(text),
                settings=settings.flat,
                references=(None, kept),
            )
        )
        scores = studio.scores([clip.id for clip in clips])
    assert len({clip.path for clip in clips}) == 4
    assert [clip.reference.sha256 if clip.reference else None for clip in clips].count(kept.sha256) == 2
    assert [path for path in heard if path == kept.audio_path] == [kept.audio_path]
    for clip in clips:
        assert scores[clip.id]
        for score in scores[clip.id]:
            assert score.explanation
            assert score.passed is None or not math.isnan(score.value), score


def _beside_base(tuned: Candidate) -> tuple[Candidate, Candidate]:
    return Candidate(backend=tuned.backend, voice=tuned.voice), tuned


def _script(text: str) -> Script:
    return Script(name="tiny", language="en", lines=(Line(id="s1", tier=Tier.SHORT, text=text),), sha256="d" * 64)
