"""How fast a data set is audited: a thousand clips, each check for itself, then one pass with both cores.

Before: one process, and every analysis decodes and resamples the file anew, as checks do that know nothing of one
another; once with Silero's own model, which goes frame by frame. After: the audit as it is, workers' start included.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, Table, spread
from engine import audio, readers
from engine.types import Manifest

CLIPS, CLIP_SEC, RATE = 1_000, 6.0, 22_050
SPOKEN_RATE = 16_000
SPEEDS = (0.85, 0.92, 1.0, 1.08, 1.17)
NAIVE_CLIPS = 30  # of the slow ways: their time goes with the number of clips
AIM = 300.0
CHECKS = "empty texts, tags, levels, noise, silence, voice activity, loudness, fingerprints, voices, pairs of rows"


def run(turns: int, base_model: str = "") -> list[Table]:
    """Make the clips, audit them all `turns` times, and some of them in the slow ways. `base_model` does not apply."""
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder), CLIPS)
        sound = readers.read(made)
        seconds = sound.total_sec
        some = Manifest(path=sound.path, sha256="", utterances=sound.utterances[:NAIVE_CLIPS])
        rows = [
            _slow(
                "every check decodes for itself, Silero's own model frame by frame",
                some,
                naive(_their_voice_activity()),
            ),
            _slow("every check decodes for itself, one process", some, naive(_our_voice_activity())),
        ]
        for workers in (1, os.cpu_count() or 1):
            rows.append(_fast(made, workers, seconds, turns))
    note = (
        f"{CLIPS} clips of {CLIP_SEC:g} s at {RATE} Hz (16-bit FLAC), espeak-ng's speech at five speeds with levels "
        f"and noise of their own. Checked: {CHECKS}; no recogniser. The first two ways were measured on "
        f"{NAIVE_CLIPS} clips and ask for no pronunciation, which the audit does. CPU seconds are those of all "
        "processes: on a busy machine the third column tells how fast the program is, and the second how much of the "
        "machine it got."
    )
    return [Table(f"{CLIPS} clips, {seconds / 3600:.2f} hours", rows, note)]


def make(folder: Path, count: int) -> Path:
    """A set of `count` clips of `CLIP_SEC`: espeak-ng's speech, cut without overlap, at five speeds.

    A clip at another speed is another clip for every check; each has its own level and noise.
    """
    from engine.backends.finch.pretrain import demo_data

    minutes = count * CLIP_SEC / 60 / len(SPEEDS) * max(SPEEDS) + 0.2
    spoken = demo_data.make(folder / "spoken", minutes=minutes, seed=0)
    source = [json.loads(line) for line in spoken.manifest.read_text(encoding="utf-8").splitlines()]
    files = [spoken.manifest.parent / row["audio"] for row in source]
    whole = np.concatenate([audio.read(file)[0] for file in files])
    text = " ".join(row["text"] for row in source)
    draw = np.random.default_rng(0)
    lines = []
    for number in range(count):
        place, speed = number // len(SPEEDS), SPEEDS[number % len(SPEEDS)]
        length = round(CLIP_SEC * SPOKEN_RATE * speed)
        part = whole[place * length : (place + 1) * length]
        clip = audio.resample(part, round(SPOKEN_RATE * speed), RATE) * np.float32(draw.uniform(0.3, 1.0))
        clip += draw.standard_normal(len(clip)).astype(np.float32) * np.float32(10 ** draw.uniform(-3.5, -2.5))
        audio.write(folder / "clips" / f"{number:05d}.flac", clip, RATE)
        begin = len(text) * place * length // len(whole)
        words = text[begin : begin + len(text) * length // len(whole)]
        lines.append(json.dumps({"audio": f"clips/{number:05d}.flac", "text": f"{words} {number}"}))
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# --------------------------------------------------------------------------------------------------------------- before
def naive(voice_activity: Callable[[np.ndarray], Sequence[tuple[float, float]]]) -> Callable[[Manifest], None]:
    """Each analysis with a decoding, and where it needs them a resampling and a voice detection, of its own."""
    from engine import voice_vector
    from engine.audit import fingerprints, levels, measuring

    def run_all(rows: Manifest) -> None:
        for u in rows.utterances:
            levels.clipped_share(audio.read_channels(u.audio_path)[0])
            samples, rate = audio.read(u.audio_path)
            levels.noise(samples, rate, voice_activity(audio.read(u.audio_path, 16_000)[0]))
            levels.quiet(u.duration_sec, voice_activity(audio.read(u.audio_path, 16_000)[0]))
            voice_activity(audio.read(u.audio_path, 16_000)[0])  # no speech, text against time
            audio.loudness_lufs(*audio.read(u.audio_path))
            measuring.content_sha256(*audio.read(u.audio_path))
            fingerprints.fingerprint(audio.read(u.audio_path, 16_000)[0])
            at_16k = audio.read(u.audio_path, 16_000)[0]
            voice_vector.vector(at_16k, tuple(voice_activity(at_16k)))

    return run_all


def _our_voice_activity() -> Callable[[np.ndarray], Sequence[tuple[float, float]]]:
    from engine.audit import voice_activity

    return voice_activity.speech


def _their_voice_activity() -> Callable[[np.ndarray], Sequence[tuple[float, float]]]:
    import torch
    from silero_vad import get_speech_timestamps, load_silero_vad

    model = load_silero_vad()

    def speech(samples: np.ndarray) -> Sequence[tuple[float, float]]:
        found = get_speech_timestamps(torch.from_numpy(samples), model)
        return [(one["start"] / 16_000, one["end"] / 16_000) for one in found]

    return speech


def _slow(what: str, rows: Manifest, work: Callable[[Manifest], None]) -> Row:
    work(Manifest(path=rows.path, sha256="", utterances=rows.utterances[:2]))  # imports and weights
    began, cpu = time.perf_counter(), time.process_time()
    work(rows)
    took, busy = time.perf_counter() - began, time.process_time() - cpu
    return Row(what, f"{rows.total_sec / took:.0f} x real time", f"{rows.total_sec / busy:.0f} s a CPU second")


# ---------------------------------------------------------------------------------------------------------------- after
def _fast(manifest: Path, workers: int, seconds: float, turns: int) -> Row:
    told = [_audited(manifest, workers) for _ in range(turns)]
    best = min(one["seconds"] for one in told)
    busy = min(one["cpu"] for one in told)
    peak = max(one["peak_mib"] for one in told)
    what = f"the audit, {workers} worker{'s' if workers > 1 else ''}, {spread([one['seconds'] for one in told])}"
    value = f"{seconds / best:.0f} x real time, {peak:.0f} MiB at most in the parent"
    return Row(what, value, f"{seconds / busy:.0f} s a CPU second", f">= {AIM:.0f} x" if workers > 1 else "")


def _audited(manifest: Path, workers: int) -> dict[str, float]:
    """One audit in a process of its own, so that its memory and its children's time are its own."""
    command = [sys.executable, "-m", "benchmarks.audit", str(manifest), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main(manifest: str, workers: str) -> None:
    """Audit once and tell seconds, CPU seconds of all processes, and the parent's peak memory."""
    from engine import audit, needs

    rows = readers.read(Path(manifest))
    began = time.perf_counter()
    audit.audit(rows, needs.of("finch"), workers=int(workers))
    took = time.perf_counter() - began
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    print(json.dumps({"seconds": took, "cpu": cpu, "peak_mib": own.ru_maxrss / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
