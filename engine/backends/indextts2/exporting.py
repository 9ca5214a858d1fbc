"""What an exported IndexTTS2 voice carries beside its adapter: the GPT as upstream loads it, and a script for its own
class.

Knows `native`. The rest of the base stays where it is: flow, codec, vocoder and what hears.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine import backends
from engine.backends.indextts2 import info, native
from engine.types import Adapter, BadInput, NotFound, Refused

SCRIPT = '''"""Speak one line: `python speak.py "Hello." hello.wav MODEL_FOLDER REFERENCE.wav`
It needs upstream's checkout (run it inside, or set PYTHONPATH to it) with its own requirements, the base model in
MODEL_FOLDER, and this bundle's native/ folder: the GPT with the promoted strength in its weights. The base model's
licence (bilibili Model Use License Agreement) goes with it: for commercial use, contact its makers."""
import json, pathlib, sys, tempfile
import torch
from indextts.infer_v2 import IndexTTS2
HERE = pathlib.Path(__file__).resolve().parent
EMOTIONS = ("happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm")
text, target, base, reference = sys.argv[1:5]
told = json.loads((HERE / "native" / "voice.json").read_text(encoding="utf-8"))
emotion, _, strength = told["voice"].partition("@")[2].partition(":")
with tempfile.TemporaryDirectory() as folder:
    for file in pathlib.Path(base).iterdir():
        tuned = HERE / "native" / file.name
        (pathlib.Path(folder) / file.name).symlink_to(tuned if tuned.exists() else file.resolve())
    model = IndexTTS2(cfg_path=f"{folder}/config.yaml", model_dir=folder)
    vector = [float(strength or 1) * (each == emotion) for each in EMOTIONS] if emotion else None
    torch.manual_seed(42)
    model.infer(spk_audio_prompt=reference, text=text, output_path=target,
                emo_vector=model.normalize_emo_vec(vector) if vector else None)
'''


def script() -> str:
    """The text of `speak.py`."""
    return SCRIPT


def code_files() -> Mapping[str, Path]:
    """None: upstream's checkout is the code."""
    return {}


def write_native(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """Write merged weights; False where the base that they are merged into is not here."""
    try:
        base = info.read(backends.folder(adapter.backend))
    except (NotFound, BadInput, Refused):
        return False
    if info.base_sha256(base) != adapter.base_sha256:
        return False
    native.write(adapter, lora_scale, folder, base)
    return True


def write_full(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """The same, with full weights."""
    return write_native(adapter, lora_scale, folder)
