"""Cuts pieces out of long recordings into files of their own, for sources whose rows are time codes.

Knows FLAC and seconds. The recording is not touched; pieces go into a folder that the caller names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from engine import audio
from engine.types import BadInput, Utterance


@dataclass(frozen=True)
class Cutter:
    """Writes into `folder`, one FLAC a piece; None where the caller has no room for copies."""

    folder: Path | None

    def cut(self, utterance: Utterance) -> Utterance:
        """The row with a file of its own. Its `audio_path` is the recording; times outside of it are a BadInput."""
        if self.folder is None:
            raise BadInput(
                "it is a piece of a longer recording, and pieces are cut when the set is opened on the desk."
            )
        path = self.folder / f"{utterance.id}.flac"
        start = utterance.start_sec or 0.0
        audio.cut(utterance.audio_path, path, start, utterance.end_sec)
        return replace(utterance, audio_path=path, end_sec=start + audio.probe(path).duration_sec)
