"""What an exported VoxCPM voice carries beside its adapter: upstream's layout, and a script that speaks with upstream's
own class.

Knows `native`. The base weights stay where they are: they are some gigabytes and not ours to pass on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.backends.voxcpm import native
from engine.types import Adapter

SCRIPT = '''"""Speaks a line: `python speak.py MODEL_FOLDER "Hello." hello.wav`, the base model being in MODEL_FOLDER.
It needs voxcpm 2.0.3 with what it asks for, and this bundle's native/ folder: upstream's own format, the promoted
strength in it."""
import json, pathlib, sys
import soundfile, torch
from voxcpm import VoxCPM
from voxcpm.model import voxcpm, voxcpm2
HERE = pathlib.Path(__file__).resolve().parent
base, text, target = sys.argv[1:4]
config = json.loads((pathlib.Path(base) / "config.json").read_text(encoding="utf-8"))
kind = voxcpm2 if config.get("architecture") == "voxcpm2" else voxcpm
told = json.loads((HERE / "native" / "lora_config.json").read_text(encoding="utf-8"))["lora_config"]
model = VoxCPM(base, enable_denoiser=False, optimize=False, lora_config=kind.LoRAConfig(**told))
loaded, skipped = model.load_lora(str(HERE / "native"))
assert loaded and not skipped, f"the adapter does not fit {base}: {skipped[:3]}"
torch.manual_seed(42)
samples = model.generate(text, retry_badcase=False)
soundfile.write(target, samples, model.tts_model.sample_rate)
'''


def script() -> str:
    """The text of `speak.py`."""
    return SCRIPT


def code_files() -> Mapping[str, Path]:
    """None: upstream's package is the code."""
    return {}


def write_native(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """Write `lora_weights.safetensors` and `lora_config.json`; False for an adapter that they cannot hold."""
    return native.write(adapter, lora_scale, folder)


def is_native(folder: Path) -> bool:
    """Whether a folder holds upstream's layout."""
    return native.is_native(folder)


def read_native(source: Path, into: Path) -> tuple[str, ...]:
    """Upstream's adapter as PEFT has it, a folder a part below `into`; returns the parts."""
    return native.read(source, into)
