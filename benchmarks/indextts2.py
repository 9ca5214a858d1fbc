"""IndexTTS2: what switching to another full checkpoint costs against loading the model anew, on the real classes.

Run with the voice's own interpreter, INDEXTTS_DIR naming a checkout: `python -m benchmarks.indextts2`. The GPT is a
twentieth of the real one; the rest of the model is tiny, and what hears is loaded by neither way, so that the real
model's reload takes longer yet.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine import full_weights
from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends.indextts2 import info, loading, native
from engine.backends.indextts2.speech_model import IndexTts2Model
from engine.types import Adapter, GenerationSettings, SpeakRow
from tests import indextts2_factory
from tests.indextts2_factory import CODE, NAME, TEXTS, StandInEars

WIDTH, LAYERS = 512, 8
GREEDY = GenerationSettings(temperature=0.0, max_factor=0.15)
# What a checkpoint changed -> the parameters of the part that are.
CHANGES: dict[str, Callable[[str], bool]] = {
    "all of the GPT": lambda name: True,
    "its last two layers": lambda name: name.startswith((f"gpt.h.{LAYERS - 1}.", f"gpt.h.{LAYERS - 2}.")),
}


def load(folder: Path) -> IndexTts2Model:
    """The model without ears."""
    found = info.read(folder)
    nets = loading.load(found, CODE, "cpu")
    return IndexTts2Model(NAME, nets, StandInEars(), found, info.base_sha256(found), "cpu")


def checkpoint(model: IndexTts2Model, folder: Path, seed: int, is_changed: Callable[[str], bool]) -> Adapter:
    """A full checkpoint with other weights where they are changed."""
    generator = torch.Generator().manual_seed(seed)
    own = dict(model.part("gpt").named_parameters())
    changed = {n: p + 0.02 * torch.randn(p.shape, generator=generator) for n, p in own.items() if is_changed(n)}
    (folder / "gpt").mkdir(parents=True)
    full_weights.write_part(folder / "gpt", changed, own.keys() - changed.keys())
    told: dict[str, Any] = {"backend": NAME, "base_sha256": model.base_sha256, "voice": "default", "parts": ("gpt",)}
    return write_adapter(folder, **told, rank=0, alpha=0.0, voice_settings={}, kind="full")


def main(turns: int = 5) -> dict[str, object]:
    """Seconds of each way, in turns, and what a reload costs as a multiple of a switch."""
    torch.set_num_threads(1)
    told = indextts2_factory.config()
    told["gpt"] |= {"model_dim": WIDTH, "heads": 8, "layers": LAYERS}
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = indextts2_factory.make(root / "base", told=told)
        reference = indextts2_factory.reference(root)
        for kind, is_changed in CHANGES.items():
            host = AdapterHost(load(folder))
            assert isinstance(host.model, IndexTts2Model)
            adapter = checkpoint(host.model, root / kind, 1, is_changed)
            native.write(adapter, 1.0, root / "native", info.read(folder))
            row = SpeakRow(text=TEXTS[0], voice="default", seed=1, settings=GREEDY, reference=reference)
            tuned = SpeakRow(**{**vars(row), "adapter_sha256": adapter.sha256, "lora_scale": 1.0})
            spent: dict[str, list[float]] = {"read and laid": [], "laid": [], "loaded anew": []}
            for _ in range(turns):
                started = time.perf_counter()
                host.add(adapter)
                with host.using([tuned]):
                    spent["read and laid"].append(time.perf_counter() - started)
                started = time.perf_counter()
                with host.using([tuned]):
                    spent["laid"].append(time.perf_counter() - started)
                    said = host.model.draw([row])[0].codes
                host.remove(adapter.sha256)
                started = time.perf_counter()
                anew = _loaded(folder, root / "native")
                spent["loaded anew"].append(time.perf_counter() - started)
                assert anew.draw([row])[0].codes == said
            middle = {way: statistics.median(each) for way, each in spent.items()}
            size = (adapter.path / "gpt" / native.FULL_FILE).stat().st_size
            found[kind] = {
                "MB": round(size / 1e6, 1),
                **{f"{way}, ms": round(1000 * each, 1) for way, each in middle.items()},
                "anew / read and laid": round(middle["loaded anew"] / middle["read and laid"], 1),
                "anew / laid": round(middle["loaded anew"] / middle["laid"], 1),
            }
    return found


def _loaded(folder: Path, tuned: Path) -> IndexTts2Model:
    """The whole model with the checkpoint in its own file, as upstream would be started with it."""
    kept = folder / "gpt.base"
    (folder / "gpt.pth").rename(kept)
    try:
        (folder / "gpt.pth").symlink_to(tuned / "gpt.pth")
        return IndexTts2Model(
            NAME, loading.load(info.read(folder), CODE, "cpu"), StandInEars(), info.read(folder), "", "cpu"
        )
    finally:
        (folder / "gpt.pth").unlink()
        kept.rename(folder / "gpt.pth")


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
