"""Pocket TTS at its real size with random weights: what a step of training takes, and what changing an adapter costs.

Runs transformers' own class on one thread of a CPU. What it says is noise; times and memory are those of the real one.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import peft
import torch

from benchmarks.measure import Row, Table, in_turns
from engine import memory, presets
from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends.transformers_tts import info, speech_model
from engine.types import Adapter, GenerationSettings, RunConfig, SpeakRow
from tests import transformers_factory

NAME = "pocket_tts"
STEPS = 3
CLIP_SEC = 6.0
TEXTS = tuple(text * 3 for text in transformers_factory.TEXTS)
SETTINGS = GenerationSettings(max_factor=0.5)


def run(turns: int, base_model: str = "") -> list[Table]:
    """Both tables; `base_model` is another voice's and does not apply."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        base = transformers_factory.write_pocket_tts(work / "model", real_size=True)
        clips = transformers_factory.make_utterances(work / "clips", TEXTS, seconds=CLIP_SEC)
        speech_model.load(NAME, base, "cpu").features(clips, info.VOICE, work / "features")
        return [_training(work), _switches(work, turns)]


# ----------------------------------------------------------------------------------------------------------- training
def _training(work: Path) -> Table:
    lora = replace(presets.default(NAME), dropout=0.0, device="cpu")
    whole = replace(lora, method="full", target_modules=(), parts=("lm", "flow"))
    size, rows = info.size(NAME, work / "model"), []
    rows.append(Row("parameters, with the codec", f"{size.parameters / 1e6:.1f} million"))
    for what, config in (("LoRA, rank 16, on the backbone", lora), ("all weights", whole)):
        # a process of its own: a peak never goes down again
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            seconds, peak, tokens = pool.submit(_trained, work, config).result()
        told = memory.estimate(config, size, device="cpu", batch_tokens=tokens).needed_bytes
        rows.append(Row(f"{what}: a step of {tokens} positions", f"{seconds:.1f} s"))
        rows.append(Row("its peak memory, and the estimate", f"{peak / 1e9:.2f} GB", f"{told / 1e9:.2f} GB told"))
    note = (
        f"Four clips of {CLIP_SEC:g} s a batch, the flow's distillation in every step (upstream has it in one of four)."
    )
    return Table("Training Pocket TTS at its real size", rows, note)


def _trained(work: Path, config: RunConfig) -> tuple[float, int, int]:
    """Median seconds of a step, the process's peak in bytes, and the batch's positions, padding counted."""
    torch.set_num_threads(1)
    model = speech_model.load(NAME, work / "model", "cpu")
    clips = transformers_factory.make_utterances(work / "clips", TEXTS, seconds=CLIP_SEC)
    examples = model.features(clips, info.VOICE, work / "features")
    model._net.config.lsd_distill_probability = 1.0
    for part in model.lora_parts():
        if part.name in config.parts and config.method == "full":
            model.part(part.name).requires_grad_(True)
        elif part.name in config.parts:
            told = peft.LoraConfig(r=config.rank, target_modules=list(part.target_modules))
            peft.get_peft_model(model.part(part.name), told)
    learned = [p for name in config.parts for p in model.part(name).parameters() if p.requires_grad]
    optimizer, took = torch.optim.AdamW(learned, lr=1e-4), []
    for step in range(STEPS):
        begin = time.perf_counter()
        torch.stack(list(model.loss(examples, info.VOICE, config.parts, step).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        took.append(time.perf_counter() - begin)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return statistics.median(took), peak, len(examples) * max(model.length(example) for example in examples)


# ---------------------------------------------------------------------------------------------------------- switching
def _switches(work: Path, turns: int) -> Table:
    base = work / "model"
    host = AdapterHost(speech_model.load(NAME, base, "cpu"))
    adapters = [_adapter(work, name) for name in ("a", "b")]
    for adapter in adapters:
        host.add(adapter)
    turn = iter(range(1_000_000))

    def add_again() -> None:
        host.remove(adapters[1].sha256)
        host.add(adapters[1])

    def say(*asked: tuple[Adapter | None, float]) -> None:
        rows = [SpeakRow(text=transformers_factory.TEXTS[0], voice=info.VOICE, seed=1, settings=SETTINGS)] * len(asked)
        host.speak(
            [
                replace(row, adapter_sha256=adapter.sha256 if adapter else None, lora_scale=scale)
                for row, (adapter, scale) in zip(rows, asked, strict=True)
            ]
        )

    took = in_turns(
        {
            "load": lambda: speech_model.load(NAME, base, "cpu"),
            "add": add_again,
            "base": lambda: say((None, 0.0)),
            "swap": lambda: say((adapters[next(turn) % 2], 1.0)),
            "scale": lambda: say((adapters[0], 0.1 + 0.1 * (next(turn) % 8))),
            "mixed": lambda: say(*((adapters[i % 2], 0.1 * i) for i in range(16))),
        },
        turns,
    )
    load = took["load"]
    rows = [Row("loading the base from the page cache", f"{load:.3f} s", "1")]
    rows.append(Row("forgetting an adapter and reading it again", f"{took['add']:.3f} s", f"{took['add'] / load:.2f}"))
    rows.append(Row("a short row of the base", f"{took['base']:.3f} s"))
    for name, what in (("swap", "with another adapter than before"), ("scale", "at another scale than before")):
        more = (took[name] - took["base"]) / load
        rows.append(Row(f"the same row {what}", f"{took[name]:.3f} s", f"{more:+.2f} over the base's"))
    ratio = took["mixed"] / (16 * took["swap"])
    rows.append(Row("16 rows of 2 adapters at 16 scales in one batch", f"{took['mixed']:.3f} s", f"{ratio:.2f}"))
    note = "Ratios to loading; of the last line, to the same rows one by one."
    return Table("Changing adapters and scales of Pocket TTS", rows, note)


def _adapter(work: Path, name: str) -> Adapter:
    model = speech_model.load(NAME, work / "model", "cpu")
    part = model.lora_parts()[0]
    told = peft.LoraConfig(r=16, lora_alpha=32, target_modules=list(part.target_modules))
    wrapped = peft.get_peft_model(model.part(part.name), told)
    with torch.no_grad():
        for key, parameter in wrapped.named_parameters():
            if "lora_B" in key:
                parameter.normal_(std=1e-3)
    wrapped.save_pretrained(str(work / name / part.name))
    described = {"backend": NAME, "base_sha256": model.base_sha256, "voice": info.VOICE, "voice_settings": {}}
    return write_adapter(work / name, **described, parts=(part.name,), rank=16, alpha=32.0)  # type: ignore[arg-type]
