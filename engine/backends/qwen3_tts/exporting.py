"""What an exported Qwen3-TTS voice carries beside its adapter: upstream's CustomVoice layout, and a script that speaks
with upstream's own class.

Knows `native`, and that the layout needs the base that the voice was trained from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine import backends
from engine.backends.qwen3_tts import info, native
from engine.types import Adapter, BadInput, NotFound

SCRIPT = '''"""Speak one line: `python speak.py "Hello." hello.wav`.
It needs qwen-tts 0.1.1 with transformers 4.57.3, and this bundle's native/ folder: upstream's CustomVoice format, the
promoted strength in its weights. Without native/ the adapter folders are PEFT's, for a Base model."""
import json, pathlib, sys
import soundfile, torch
from qwen_tts import Qwen3TTSModel
HERE = pathlib.Path(__file__).resolve().parent
told = json.loads((HERE / "voice.json").read_text(encoding="utf-8"))
config = json.loads((HERE / "native" / "config.json").read_text(encoding="utf-8"))
text, target = sys.argv[1:]
speaker, _, language = told["voice"].partition("@")
speakers = config["talker_config"]["spk_id"]
model = Qwen3TTSModel.from_pretrained(str(HERE / "native"), dtype=torch.float32)
torch.manual_seed(42)
waves, rate = model.generate_custom_voice(
    text, speaker=speaker if speaker in speakers else next(iter(speakers)), language=language or "Auto")
soundfile.write(target, waves[0], rate)
'''


def script() -> str:
    """The text of `speak.py`."""
    return SCRIPT


def code_files() -> Mapping[str, Path]:
    """None: upstream's package is the code."""
    return {}


def write_native(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """Write the whole model; False where the base that the voice was trained from is not here, or where it would have
    no speaker.
    """
    try:
        base = info.read(backends.folder(adapter.backend))
    except (NotFound, BadInput):
        return False
    if info.base_sha256(base) != adapter.base_sha256 or not (base.speakers or native.vector_of(adapter) is not None):
        return False
    native.write(adapter, lora_scale, folder, base)
    return True


def write_full(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """The same, with full weights."""
    return write_native(adapter, lora_scale, folder)


def is_native(folder: Path) -> bool:
    """Whether a folder holds what another trainer of this model wrote."""
    return native.is_native(folder)


def read_native(source: Path, into: Path) -> tuple[str, ...]:
    """Such an adapter as PEFT has it, a folder a part below `into`; returns the parts."""
    return native.read(source, into)


def native_settings(source: Path) -> Mapping[str, float]:
    """The speaker's vector that lies beside it."""
    return native.settings(source)


def native_faults(source: Path) -> tuple[str, ...]:
    """What is known to be wrong with the training step that made it."""
    return native.faults(source)
