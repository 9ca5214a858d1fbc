"""Demo recordings of a voice that Finch has never heard, made on the spot with espeak-ng.

`make` writes a good data set and a second manifest with faults for trying the audit. Texts
and names follow from the seed, nothing is downloaded and no audio is shipped; espeak-ng's audio may
differ by a few samples from one run to the next.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from engine.backends.finch import acoustics
from engine.backends.finch.phonemes import EspeakVoice
from engine.backends.finch.pretrain import voices
from engine.backends.finch.pretrain.data import utter
from engine.backends.finch.pretrain.texts import HARVARD, Corpus

SPEAKER = "steph"
_SENTENCES = Path(__file__).parents[4] / "assets" / "finch" / "sentences.txt.gz"
_LONGEST_CHARACTERS = 130
_EDGE_S = 0.15
_FEWEST_ROWS = 15  # the faults are spread over so many


@dataclass(frozen=True)
class DemoData:
    """Where the manifests are, and how much speech the good one holds."""

    manifest: Path
    faulty_manifest: Path
    utterances: int
    minutes: float


def make(folder: Path, minutes: float = 6.0, seed: int = 0) -> DemoData:
    """Write `manifest.jsonl`, `manifest_with_faults.jsonl` and 16 kHz FLAC files to `folder`.

    Texts are development sentences, which Finch was not trained on, and short template sentences. However few the
    minutes, there are rows enough for every fault.
    """
    audio = folder / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    voice = voices.UNHEARD[SPEAKER]
    rows: list[dict[str, str]] = []
    seconds = 0.0
    for text in demo_texts(draw):
        if seconds >= minutes * 60 and len(rows) >= _FEWEST_ROWS:
            break
        samples = _with_edges(utter(text, voice).samples.numpy())
        name = f"audio/{SPEAKER}_{len(rows):03d}.flac"
        soundfile.write(folder / name, samples, acoustics.SAMPLE_RATE)
        rows.append({"audio": name, "text": text, "speaker": SPEAKER})
        seconds += len(samples) / acoustics.SAMPLE_RATE
    faulty = _write(folder / "manifest_with_faults.jsonl", _with_faults(folder, rows, voice))
    manifest = _write(folder / "manifest.jsonl", rows)  # last: where it lies, everything else does too
    return DemoData(manifest, faulty, len(rows), seconds / 60)


def demo_texts(draw: random.Random) -> list[str]:
    """Texts that Finch was not trained on: short development sentences and template sentences."""
    corpus = Corpus.load(_SENTENCES)
    short = [text for text in corpus.development if len(text) <= _LONGEST_CHARACTERS]
    pairs = [corpus.sentence(draw, siblings=3) for _ in range(400)]
    texts = [text for text in short + pairs if text not in HARVARD and len(text) > 20]
    draw.shuffle(texts)
    return texts


def _with_edges(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    edge = np.zeros(int(_EDGE_S * acoustics.SAMPLE_RATE), np.float32)
    return np.concatenate([edge, samples, edge]).clip(-1, 1)


def _with_faults(folder: Path, rows: list[dict[str, str]], voice: EspeakVoice) -> list[dict[str, str]]:
    """A copy of the rows with one fault of each kind that an audit should name."""
    faulty = [dict(row) for row in rows]
    faulty[1]["text"] = ""
    faulty[3]["text"] = f"[laughter] {faulty[3]['text']}"
    faulty[5]["audio"] = "audio/missing.flac"
    faulty[7]["text"] = " ".join(row["text"] for row in rows[7:15])
    samples = utter(rows[9]["text"], voice).samples.numpy()[::2].clip(-1, 1)
    faulty[9]["audio"] = "audio/fault_8khz.flac"
    soundfile.write(folder / faulty[9]["audio"], samples, acoustics.SAMPLE_RATE // 2)
    faulty[11]["audio"] = "audio/fault_empty.flac"
    (folder / faulty[11]["audio"]).write_bytes(b"")
    return faulty


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
