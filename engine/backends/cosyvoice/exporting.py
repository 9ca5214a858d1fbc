"""What an exported CosyVoice voice carries beside its adapter: weights that upstream loads, and a script for its own
classes.

Knows `native`. The rest of the base stays where it is: the vocoder and the models that hear.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine import backends
from engine.backends.cosyvoice import info, joint_checkpoint, native
from engine.types import Adapter, BadInput, NotFound, Refused

SCRIPT = '''"""Speak one line: `python speak.py "Hello." hello.wav MODEL_FOLDER [REFERENCE.wav "Its words."]`
It needs upstream's checkout (run it inside, or set PYTHONPATH to it and to its third_party/Matcha-TTS) with its own
requirements, the base model in MODEL_FOLDER, and this bundle's native/ folder: weights with the promoted strength in
them. Without a reference it speaks with the voice's own speaker, which native/spk2info.pt holds."""
import json, pathlib, sys, tempfile
import soundfile, torch
from cosyvoice.cli.cosyvoice import AutoModel
HERE = pathlib.Path(__file__).resolve().parent
text, target, base, *reference = sys.argv[1:6]
told = json.loads((HERE / "native" / "voice.json").read_text(encoding="utf-8"))
with tempfile.TemporaryDirectory() as folder:
    files = {file.name: file for place in (pathlib.Path(base), HERE / "native") for file in place.iterdir()}
    for name, file in files.items():
        (pathlib.Path(folder) / name).symlink_to(file.resolve())
    model = AutoModel(model_dir=folder)
    mark = "You are a helpful assistant.<|endofprompt|>" if told["backend"] == "cosyvoice3" else ""
    torch.manual_seed(42)
    if reference:
        sound, words = reference
        said = model.inference_zero_shot(text, mark + words, sound, stream=False)
    else:
        said = model.inference_sft(mark + text, told["voice"], stream=False)
    spoken = [one["tts_speech"] for one in said]
soundfile.write(target, torch.cat(spoken, dim=1)[0].numpy(), model.sample_rate)
'''


def script() -> str:
    """The text of `speak.py`."""
    return SCRIPT


def code_files() -> Mapping[str, Path]:
    """None: upstream's checkout is the code."""
    return {}


def write_native(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """Write merged weights; False where the base that they are merged into is not here."""
    return _write(adapter, lora_scale, folder)


def write_full(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """Write full weights at a scale; False where the base that they were trained from is not here."""
    return _write(adapter, lora_scale, folder)


def _write(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    if joint_checkpoint.MEAN in adapter.voice_settings:  # weights alone would not say how its sound is turned back
        return False
    try:
        base = info.read(adapter.backend, backends.folder(adapter.backend))
    except (NotFound, BadInput, Refused):
        return False
    if info.base_sha256(base) != adapter.base_sha256:
        return False
    native.write(adapter, lora_scale, folder, base)
    return True


def is_native(folder: Path) -> bool:
    """Whether a folder holds an adapter as CosyVoice's LoRA trainers write it."""
    return native.is_native(folder) or joint_checkpoint.is_one(folder)


def read_native(source: Path, into: Path) -> tuple[str, ...]:
    """Such an adapter as PEFT has it, a folder a part below `into`; returns the parts."""
    return native.read(source, into) if native.is_native(source) else joint_checkpoint.read(source, into)


def native_settings(source: Path) -> Mapping[str, float]:
    """What speaking must know of it."""
    return {} if native.is_native(source) else joint_checkpoint.settings(source)


def native_faults(source: Path) -> tuple[str, ...]:
    """What is known to be wrong with the training step that made it."""
    return () if native.is_native(source) else joint_checkpoint.faults(source)
