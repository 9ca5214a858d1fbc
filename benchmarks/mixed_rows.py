"""CSM and Dia: what one batch whose rows differ in adapter and scale saves against the same rows one by one.

Tiny random weights of transformers' own classes, on one thread of a CPU; the codec is in both ways. What is said is
noise, and the same noise in both: that is looked at before anything is measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import peft
import torch

from benchmarks.measure import Row, Table, in_turns
from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends.transformers_tts import info, speech_model
from engine.types import Adapter, GenerationSettings, Refused, SpeakRow, Speech
from tests import transformers_factory

MODELS: dict[str, Callable[[Path], Path]] = {
    "csm": transformers_factory.write_csm,
    "dia": transformers_factory.write_dia,
}
SCALES = (0.2, 0.35, 0.5, 1.0)
CHECKPOINTS = 4
SETTINGS = GenerationSettings(temperature=1.0, top_k=0, max_factor=0.5)


def run(turns: int, base_model: str = "") -> list[Table]:
    """One table; `base_model` is another voice's and does not apply.

    Raises Refused where the two ways do not say the same.
    """
    torch.set_num_threads(1)
    rows = [row for name in MODELS for row in _measured(name, turns)]
    note = (
        "4 adapters of rank 4 at 4 scales. Ratios are how much as fast as row by row; every row says the same in both."
    )
    return [Table("Rows of CSM and Dia that differ in adapter and scale", rows, note)]


def _measured(name: str, turns: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        base = MODELS[name](Path(folder) / "base")
        host = AdapterHost(speech_model.load(name, base, "cpu"))
        adapters = [_adapter(name, base, Path(folder) / str(seed), seed) for seed in range(CHECKPOINTS)]
        for adapter in adapters:
            host.add(adapter)
        asked = [
            SpeakRow(
                text=transformers_factory.TEXTS[place % len(transformers_factory.TEXTS)],
                voice=info.VOICE,
                seed=place,
                adapter_sha256=adapter.sha256,
                lora_scale=scale,
                settings=SETTINGS,
            )
            for place, (adapter, scale) in enumerate(product(adapters, SCALES))
        ]
        together, alone = host.speak(asked), [host.speak([row])[0] for row in asked]
        if [_said(one) for one in together] != [_said(one) for one in alone]:
            raise Refused(f"{name} does not say in a batch what it says row by row.")
        took = in_turns({"batch": lambda: host.speak(asked), "alone": lambda: [host.speak([r]) for r in asked]}, turns)
    tokens = sum(one.tokens for one in alone)
    return [
        Row(f"{name}: {len(asked)} rows one by one, {tokens} frames", f"{took['alone']:.2f} s", "1"),
        Row("the same rows in one mixed batch", f"{took['batch']:.2f} s", f"{took['alone'] / took['batch']:.1f}"),
    ]


def _said(speech: Speech) -> tuple[int, ...]:
    return speech.speech_tokens.said if speech.speech_tokens else ()


def _adapter(name: str, base: Path, folder: Path, seed: int) -> Adapter:
    model = speech_model.load(name, base, "cpu")
    part = model.lora_parts()[0]
    torch.manual_seed(seed)
    told = peft.LoraConfig(r=4, lora_alpha=4, target_modules=list(part.target_modules), init_lora_weights=False)
    peft.get_peft_model(model.part(part.name), told).save_pretrained(str(folder / part.name))
    return write_adapter(
        folder,
        backend=name,
        base_sha256=model.base_sha256,
        voice=info.VOICE,
        parts=(part.name,),
        rank=4,
        alpha=4.0,
        voice_settings={},
    )
