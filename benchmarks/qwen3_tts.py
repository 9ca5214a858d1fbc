"""Qwen3-TTS: what one mixed batch of a grid saves against speaking it row by row, on the real classes, tiny.

Run with the voice's own interpreter: `python -m benchmarks.qwen3_tts`. The model is small enough that what is measured
is the cost of launching its many small products, which is also what upstream's users report of the real one on a GPU.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

import peft
import torch

from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends.qwen3_tts import speech_model
from engine.types import Adapter, GenerationSettings, SpeakRow
from tests import qwen3_tts_factory
from tests.qwen3_tts_factory import NAME, TEXTS

SCALES = (0.2, 0.35, 0.5, 1.0)
CHECKPOINTS = 3
SETTINGS = GenerationSettings(temperature=0.9, max_factor=0.3)


def grid(adapters: list[Adapter]) -> list[SpeakRow]:
    """Four scales, three checkpoints, four lines."""
    return [
        SpeakRow(text=text, voice="default", seed=7, adapter_sha256=one.sha256, lora_scale=scale, settings=SETTINGS)
        for one in adapters
        for scale in SCALES
        for text in TEXTS
    ]


def main(turns: int = 3) -> dict[str, object]:
    """Seconds and frames a second of both ways, in turns, and their ratio."""
    torch.set_num_threads(1)  # products this small are slower on two
    with tempfile.TemporaryDirectory() as name:
        folder = qwen3_tts_factory.make(Path(name) / "base")
        host = AdapterHost(speech_model.load(NAME, folder, "cpu"))
        adapters = [_adapter(host.model, Path(name) / str(seed), seed) for seed in range(CHECKPOINTS)]
        for one in adapters:
            host.add(one)
        rows = grid(adapters)
        spent: dict[str, list[float]] = {"batch": [], "one by one": []}
        frames = 0
        for _ in range(turns):
            started = time.perf_counter()
            together = host.speak(rows)
            spent["batch"].append(time.perf_counter() - started)
            started = time.perf_counter()
            alone = [host.speak([row])[0] for row in rows]
            spent["one by one"].append(time.perf_counter() - started)
            assert [one.tokens for one in together] == [one.tokens for one in alone]
            frames = sum(one.tokens for one in alone)
    middle = {way: statistics.median(found) for way, found in spent.items()}
    return {
        "rows": len(rows),
        "frames": frames,
        **{f"{way}, s": round(found, 3) for way, found in middle.items()},
        **{f"{way}, frames/s": round(frames / found) for way, found in middle.items()},
        "ratio": round(middle["one by one"] / middle["batch"], 2),
        "ratios": [round(b / a, 2) for a, b in zip(*spent.values(), strict=True)],
    }


def _adapter(model: object, folder: Path, seed: int) -> Adapter:
    assert isinstance(model, speech_model.Qwen3TtsModel)
    torch.manual_seed(seed)
    fresh = speech_model.load(NAME, model._folder.path, "cpu")
    for part in fresh.lora_parts():
        told = peft.LoraConfig(r=4, lora_alpha=4, target_modules=list(part.target_modules), init_lora_weights=False)
        peft.get_peft_model(fresh.part(part.name), told).save_pretrained(str(folder / part.name))
    return write_adapter(
        folder,
        backend=NAME,
        base_sha256=model.base_sha256,
        voice="default",
        parts=model.capabilities.parts,
        rank=4,
        alpha=4.0,
        voice_settings={},
    )


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
