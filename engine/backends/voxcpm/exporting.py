"""What an exported VoxCPM voice carries beside its adapter: upstream's layout, and a script that speaks with upstream's
own class.

Knows `native`. Beside an adapter the base weights stay where they are: they are some gigabytes. Full weights make a
model folder of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine import backends
from engine.backends.voxcpm import info, native
from engine.types import Adapter, BadInput, NotFound

SCRIPT = '''"""Speak one line: `python speak.py "Hello." hello.wav MODEL_FOLDER`.
The base model is in MODEL_FOLDER, or is its name on the hub (owner/name@revision): by default what EARMARK_VOXCPM or
EARMARK_VOXCPM2 names, and for a fully tuned voice its own. It needs voxcpm 2.0.3 with what it asks for, and this
bundle's native/ folder: upstream's own format, the promoted strength in it."""
import json, os, pathlib, sys
import soundfile, torch
from voxcpm import VoxCPM
from voxcpm.model import voxcpm, voxcpm2
HERE = pathlib.Path(__file__).resolve().parent
native, backend = HERE / "native", json.loads((HERE / "voice.json").read_text(encoding="utf-8"))["backend"]
text, target, *named = sys.argv[1:]
kind, lora = {"voxcpm": voxcpm, "voxcpm2": voxcpm2}[backend], None
if (native / "lora_config.json").exists():
    base = named[0] if named else os.environ[f"EARMARK_{backend.upper()}"]
    told = json.loads((native / "lora_config.json").read_text(encoding="utf-8"))["lora_config"]
    lora = kind.LoRAConfig(**told)
else:
    base = str(native)
if not pathlib.Path(base).is_dir():
    from huggingface_hub import snapshot_download
    name, _, revision = base.partition("@")
    base = snapshot_download(name, revision=revision or None)
model = VoxCPM(base, enable_denoiser=False, optimize=False, lora_config=lora)
if lora is not None:
    loaded, skipped = model.load_lora(str(native))
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


def write_full(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """Write full weights as a model folder of upstream's; False where the base that they were trained from is not here:
    what was not trained comes from it.
    """
    try:
        base = info.read(adapter.backend, backends.folder(adapter.backend))
    except (NotFound, BadInput):
        return False
    if info.base_sha256(base) != adapter.base_sha256:
        return False
    native.write_full(adapter, lora_scale, folder, base)
    return True


def is_native(folder: Path) -> bool:
    """Whether a folder holds upstream's layout."""
    return native.is_native(folder)


def read_native(source: Path, into: Path) -> tuple[str, ...]:
    """Upstream's adapter as PEFT has it, a folder a part below `into`; returns the parts."""
    return native.read(source, into)
