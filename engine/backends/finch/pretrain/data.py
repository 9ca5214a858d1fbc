"""Training data: the same paragraph spoken by several espeak-ng voices, as frames on disk.

One *group* is a text at one speaking rate spoken by some base voices and some variants; its members
share one phoneme list, so their frames can be aligned by phoneme times. Shards are written by one
process each: `frames.npy` (n, 62) half precision (60 log mel bands, log F0, voicing), `audio.npy`
(int16, some groups only) and `index.jsonl`.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from engine.backends.finch import acoustics
from engine.backends.finch.phonemes import EspeakVoice, Pronunciation, speak
from engine.backends.finch.pretrain import voices
from engine.backends.finch.pretrain.texts import Corpus

COLUMNS = acoustics.MEL_BANDS + 2
_BASE_PER_GROUP, _VARIANTS_PER_GROUP = 3, 2
_AUDIO_EVERY = 8
_VALIDATION_GROUPS = 20
_MIN_VOICED = 0.15


@dataclass(frozen=True)
class Entry:
    """One utterance of a shard. `frame` and `audio` are offsets (audio is -1 when not kept)."""

    group: int
    speaker: str
    symbols: tuple[str, ...]
    starts: tuple[float, ...]
    frame: int
    frames: int
    audio: int


@dataclass(frozen=True)
class Spoken:
    """An utterance made by espeak-ng: pronunciation, 16 kHz samples (n,) and features (t, 30)."""

    pronunciation: Pronunciation
    samples: torch.Tensor
    mel: torch.Tensor
    log_f0: torch.Tensor
    voicing: torch.Tensor

    @property
    def features(self) -> torch.Tensor:
        return acoustics.features_from_mel(self.mel, self.log_f0, self.voicing)


def utter(text: str, voice: EspeakVoice) -> Spoken:
    """espeak-ng's reading of `text` at 16 kHz and the training level, with its features."""
    pronunciation, raw, rate_hz = speak(text, voice)
    samples = acoustics.resample(torch.from_numpy(raw.astype(np.float32) / 32768), rate_hz)
    samples = acoustics.normalise_level(samples)
    return Spoken(pronunciation, samples, acoustics.log_mel(samples), *acoustics.f0_track(samples))


class Shard:
    """The utterances that one process made, read lazily from disk."""

    def __init__(self, folder: Path) -> None:
        self._frames = np.load(folder / "frames.npy", mmap_mode="r")
        self._audio = np.load(folder / "audio.npy", mmap_mode="r")
        lines = (folder / "index.jsonl").read_text().splitlines()
        self.entries = [Entry(**json.loads(line)) for line in lines]

    def frames(self, entry: Entry) -> npt.NDArray[np.float32]:
        """Frames (t, 62) of an utterance."""
        block = self._frames[entry.frame : entry.frame + entry.frames]
        return np.asarray(block, dtype=np.float32)

    def samples(self, entry: Entry) -> npt.NDArray[np.float32] | None:
        """Samples of an utterance at 16 kHz, or None when they were not kept."""
        if entry.audio < 0:
            return None
        length = (entry.frames - 1) * acoustics.HOP
        pcm = self._audio[entry.audio : entry.audio + length]
        return np.asarray(pcm, np.float32) / np.float32(32768)


def load_shards(work: Path) -> list[Shard]:
    """All shards that the data stage wrote under `work`."""
    folders = sorted((work / "data").glob("shard*"))
    if not folders:
        raise FileNotFoundError(f"no training data in {work}; run the stage 'data' first")
    return [Shard(folder) for folder in folders]


def is_validation(group: int) -> bool:
    """Whether a group is kept out of training: the first few of each shard."""
    return group % 1_000_000 < _VALIDATION_GROUPS


def run(work: Path, sentences: Path, groups: int, processes: int) -> None:
    """Write `groups` groups under `work`, in `processes` processes; does nothing when done."""
    if (work / "data").exists():
        print(f"data: kept, {work / 'data'} exists")
        return
    began = time.monotonic()
    temporary = work / "data.partial"
    share = groups // processes
    jobs = [(temporary / f"shard{part}", sentences, part, share) for part in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        hours = sum(pool.starmap(write_shard, jobs))
    temporary.rename(work / "data")
    print(f"data: {groups} groups, {hours:.1f} hours in {time.monotonic() - began:.0f} s")


def write_shard(folder: Path, sentences: Path, part: int, groups: int) -> float:
    """Make `groups` groups and write them to `folder`; returns the hours of speech made."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    corpus, draw = Corpus.load(sentences), random.Random(1000 + part)
    frames: list[npt.NDArray[np.float16]] = []
    audio: list[npt.NDArray[np.int16]] = []
    at_frame = at_audio = 0
    with (folder / "index.jsonl").open("w") as index:
        for number in range(groups):
            keep_audio = number % _AUDIO_EVERY == 0
            for speaker, spoken in make_group(corpus, draw):
                block = _block(spoken)
                entry = _entry(part * 1_000_000 + number, speaker, spoken, at_frame, len(block))
                if keep_audio:
                    kept = _pcm(spoken.samples, (len(block) - 1) * acoustics.HOP)
                    audio.append(kept)
                    entry = Entry(**{**asdict(entry), "audio": at_audio})
                    at_audio += len(kept)
                index.write(json.dumps(asdict(entry)) + "\n")
                frames.append(block)
                at_frame += len(block)
            if number % 200 == 0:
                print(f"data: shard {part} group {number}/{groups}", flush=True)
    np.save(folder / "frames.npy", np.concatenate(frames))
    np.save(folder / "audio.npy", np.concatenate(audio))
    return at_frame / acoustics.FRAME_RATE / 3600


def make_group(corpus: Corpus, draw: random.Random) -> list[tuple[str, Spoken]]:
    """One paragraph at one rate by three base voices and two variants, same phonemes throughout."""
    text, rate = corpus.paragraph(draw), draw.randint(140, 200)
    names = draw.sample(list(voices.BASE_VOICES), _BASE_PER_GROUP)
    names += draw.sample(list(voices.VARIANTS), _VARIANTS_PER_GROUP)
    members: list[tuple[str, Spoken]] = []
    for name in names:
        spoken = utter(text, voices.espeak_voice(name, rate))
        same = not members or spoken.pronunciation.symbols == members[0][1].pronunciation.symbols
        if same and float(spoken.voicing.mean()) >= _MIN_VOICED:
            members.append((name, spoken))
    return members


def _block(spoken: Spoken) -> npt.NDArray[np.float16]:
    count = min(len(spoken.mel), len(spoken.log_f0), len(spoken.samples) // acoustics.HOP + 1)
    extra = torch.stack([spoken.log_f0[:count], spoken.voicing[:count]], 1)
    return torch.cat([spoken.mel[:count], extra], 1).numpy().astype(np.float16)


def _pcm(samples: torch.Tensor, length: int) -> npt.NDArray[np.int16]:
    clipped = (samples[:length] * 32767).clamp(-32767, 32767)
    return clipped.numpy().astype(np.int16)


def _entry(group: int, speaker: str, spoken: Spoken, frame: int, frames: int) -> Entry:
    phonemes = spoken.pronunciation.phonemes
    starts = tuple(round(phoneme.start_s, 4) for phoneme in phonemes)
    symbols = tuple(spoken.pronunciation.symbols)
    return Entry(group, speaker, symbols, starts, frame, frames, -1)
