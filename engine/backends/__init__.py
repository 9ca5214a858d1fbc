"""The table of backends: which voices there are, and where each one's code, weights, environment and licence are.

Knows how to find a backend by name, and the folder of weights that some need, and nothing about any of them. Nothing is
imported until a backend is loaded, so the list of names is free of torch. What a voice must be able to do is in
`speech_model`.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.backends import folders
from engine.backends.backend_info import BackendInfo
from engine.backends.exporter import Exporter
from engine.backends.speech_model import SpeechModel
from engine.types import NotFound

if TYPE_CHECKING:
    from engine.backends.serve.process import Interpreter

# Backends whose weights people bring -> the environment variable that names their folder, or their name on the hub. One
# module may serve several: their `load(name, folder, device)`, `info(name, folder)` and `size(name, folder)` are told
# which and where.
FOLDERS: dict[str, str] = {
    "cosyvoice1": "EARMARK_COSYVOICE1",
    "cosyvoice2": "EARMARK_COSYVOICE2",
    "cosyvoice3": "EARMARK_COSYVOICE3",
    "csm": "EARMARK_CSM",
    "dia": "EARMARK_DIA",
    "indextts2": "EARMARK_INDEXTTS2",
    "pocket_tts": "EARMARK_POCKET_TTS",
    "qwen3_tts": "EARMARK_QWEN3_TTS",
    "voxcpm": "EARMARK_VOXCPM",
    "voxcpm2": "EARMARK_VOXCPM2",
}

# name -> module that has `load(base_model: str, device: str) -> SpeechModel`
BACKENDS: dict[str, str] = {
    "cosyvoice1": "engine.backends.cosyvoice.speech_model",
    "cosyvoice2": "engine.backends.cosyvoice.speech_model",
    "cosyvoice3": "engine.backends.cosyvoice.speech_model",
    "csm": "engine.backends.transformers_tts.speech_model",
    "dia": "engine.backends.transformers_tts.speech_model",
    "pocket_tts": "engine.backends.transformers_tts.speech_model",
    "finch": "engine.backends.finch.speech_model",
    "indextts2": "engine.backends.indextts2.speech_model",
    "qwen3_tts": "engine.backends.qwen3_tts.speech_model",
    "voxcpm": "engine.backends.voxcpm.speech_model",
    "voxcpm2": "engine.backends.voxcpm.speech_model",
}
# name -> module that has `info() -> BackendInfo` and imports no torch
INFO: dict[str, str] = {
    "cosyvoice1": "engine.backends.cosyvoice.info",
    "cosyvoice2": "engine.backends.cosyvoice.info",
    "cosyvoice3": "engine.backends.cosyvoice.info",
    "csm": "engine.backends.transformers_tts.info",
    "dia": "engine.backends.transformers_tts.info",
    "pocket_tts": "engine.backends.transformers_tts.info",
    "finch": "engine.backends.finch.info",
    "indextts2": "engine.backends.indextts2.info",
    "qwen3_tts": "engine.backends.qwen3_tts.info",
    "voxcpm": "engine.backends.voxcpm.info",
    "voxcpm2": "engine.backends.voxcpm.info",
}

# Voices that have an environment of their own -> the folder that declares it: `requirements.txt`, and in
# `requirements-alone.txt` what is installed without what it asks for. Voices of one folder share one.
ENVIRONMENTS: dict[str, Path] = {
    "cosyvoice1": Path(__file__).with_name("cosyvoice"),
    "cosyvoice2": Path(__file__).with_name("cosyvoice"),
    "cosyvoice3": Path(__file__).with_name("cosyvoice"),
    "indextts2": Path(__file__).with_name("indextts2"),
    "qwen3_tts": Path(__file__).with_name("qwen3_tts"),
}

# Licences that go with the weights that people bring, as forms and lists show them before anything is loaded.
LICENCES: dict[str, str] = {
    "cosyvoice1": "Apache 2.0",
    "cosyvoice2": "Apache 2.0",
    "cosyvoice3": "Apache 2.0",
    "indextts2": "bilibili Model Use License: for commercial use, contact its makers",
    "qwen3_tts": "Apache 2.0",
    "voxcpm": "Apache 2.0",
    "voxcpm2": "Apache 2.0",
}

# name -> module that is an `Exporter`; a backend without one is exported in PEFT's format alone
EXPORTERS: dict[str, str] = {
    "cosyvoice1": "engine.backends.cosyvoice.exporting",
    "cosyvoice2": "engine.backends.cosyvoice.exporting",
    "cosyvoice3": "engine.backends.cosyvoice.exporting",
    "csm": "engine.backends.transformers_tts.csm_export",
    "dia": "engine.backends.transformers_tts.dia_export",
    "pocket_tts": "engine.backends.transformers_tts.pocket_tts_export",
    "finch": "engine.backends.finch.exporting",
    "indextts2": "engine.backends.indextts2.exporting",
    "qwen3_tts": "engine.backends.qwen3_tts.exporting",
    "voxcpm": "engine.backends.voxcpm.exporting",
    "voxcpm2": "engine.backends.voxcpm.exporting",
}


def exporter(name: str) -> Exporter | None:
    """What an export of this backend's voices carries; None when there is nothing beyond the adapter."""
    found: Any = import_module(EXPORTERS[name]) if name in EXPORTERS else None
    exporting: Exporter | None = found
    return exporting


def names() -> tuple[str, ...]:
    """The backends that can be used here: built-in ones, then those that somebody named weights for."""
    here = [name for name in INFO if name not in FOLDERS or os.environ.get(FOLDERS[name])]
    return tuple(sorted(here, key=lambda name: (name in FOLDERS, name)))


def folder(name: str, base_model: str = "") -> Path:
    """Where the weights of a backend of FOLDERS are. Raises NotFound with the mend where there are none."""
    return folders.of(name, FOLDERS[name], base_model, os.environ)


def pinned(name: str, base_model: str = "") -> str:
    """The base weights to write down for a run: where they are a model of the hub, its name with the commit."""
    return folders.pinned(FOLDERS[name], base_model, os.environ) if name in FOLDERS else base_model


def info(name: str, base_model: str = "") -> BackendInfo:
    """What is known of a backend without loading it. Raises NotFound with the known names, or where the weights that
    it needs are not there; BadInput where they are not its own.
    """
    if name not in INFO:
        raise NotFound(f"There is no backend named {name!r}; known are: {', '.join(sorted(INFO))}.")
    module: Any = import_module(INFO[name])
    found: BackendInfo = module.info(name, folder(name, base_model)) if name in FOLDERS else module.info()
    return found


def load(name: str, base_model: str = "", device: str = "cpu", interpreter: Interpreter | None = None) -> SpeechModel:
    """Load a backend's base model: into this process, or into one of its own where an interpreter is given, which is
    good for speaking alone. Raises NotFound with the known names, or for weights that are not there.
    """
    if name not in BACKENDS:
        raise NotFound(f"There is no backend named {name!r}; known are: {', '.join(sorted(BACKENDS))}.")
    if interpreter is not None:
        from engine.backends.serve.proxy import ServedModel

        return ServedModel(name, base_model, device, interpreter)
    module: Any = import_module(BACKENDS[name])
    if name in FOLDERS:
        brought: SpeechModel = module.load(name, folder(name, base_model), device)
        return brought
    model: SpeechModel = module.load(base_model=base_model, device=device)
    return model
