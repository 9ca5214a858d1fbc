"""What an exported Finch voice carries so that it speaks without Earmark: its code, its base weights, a short script.

Knows which files of this repository Finch's speaking needs. Finch has no upstream tool, so there is no layout of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.backends.finch.info import ASSETS, CONFIG_FILE
from engine.types import Adapter

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("engine/__init__.py", "engine/audio.py", "engine/harness.py", "engine/segmentation.py")
PACKAGES = ("engine/types", "engine/backends", "engine/backends/finch")
NETS = ("language_model", "encoder", "decoder", "vocoder")
NOT_NEEDED = ("exporting.py",)

SCRIPT = '''"""Speak one line: `python speak.py "Hello." hello.wav`. Its own code and base weights are in code/."""
import contextlib, json, pathlib, sys
import peft, soundfile
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "code"))
from engine import harness, types
from engine.backends.finch import speech_model
voice, model = json.loads((HERE / "voice.json").read_text(encoding="utf-8")), speech_model.load()
for part in voice["parts"]:
    for layer in peft.PeftModel.from_pretrained(model.part(part), str(HERE / part)).eval().modules():
        getattr(layer, "set_scale", lambda name, scale: None)("default", voice["lora_scale"])
told = {key: voice[key] for key in ("voice", "adapter_sha256", "lora_scale", "voice_settings")}
rows = harness.rows(sys.argv[1], seed=42, settings=types.GenerationSettings(**voice["settings"]), **told)
served = type("Served", (), {"using": lambda self, rows: contextlib.nullcontext()})()
speech = harness.joined(model.speak(rows, mixer=served))
soundfile.write(sys.argv[2], speech.samples, speech.sample_rate)
'''


def script() -> str:
    """The text of `speak.py`."""
    return SCRIPT


def code_files() -> Mapping[str, Path]:
    """Every file of `code/` by its path in it, sources and base weights."""
    wanted = [ROOT / name for name in SOURCES]
    for package in PACKAGES:
        wanted += sorted(path for path in (ROOT / package).glob("*.py") if path.name not in NOT_NEEDED)
    found = {path.relative_to(ROOT).as_posix(): path for path in wanted}
    for name in (CONFIG_FILE, *(f"{net}.safetensors" for net in NETS)):
        found[f"assets/finch/{name}"] = ASSETS / name
    return found


def write_native(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """Write the layout that upstream's tools expect into `folder`; False: there is none."""
    return False
