"""Loading: a name of this package's models and a folder become a `SpeechModel`.

Knows which class stands for which name, and nothing of what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from engine.backends.transformers_tts import info, loading
from engine.backends.transformers_tts.csm import CsmModel
from engine.backends.transformers_tts.dia import DiaModel
from engine.backends.transformers_tts.families import CSM, DIA, POCKET_TTS
from engine.backends.transformers_tts.info import ModelFolder
from engine.backends.transformers_tts.native import NativeModel
from engine.backends.transformers_tts.pocket_tts import PocketTtsModel

MODELS: Mapping[str, Callable[[Any, Any, ModelFolder, str, str], NativeModel]] = {
    POCKET_TTS: PocketTtsModel,
    CSM: CsmModel,
    DIA: DiaModel,
}


def load(name: str, folder: Path, device: str) -> NativeModel:
    """The model with the weights in `folder`. `device` is "cpu", "cuda:0" and the like, or "auto": the first GPU if
    there is one. Raises NotFound or BadInput for a folder that is not whole or not this model's.
    """
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    found = info.read(name, folder)
    sha256 = info.base_sha256(found)
    net = loading.model(found, device)
    codec = loading.codec(found, device) if found.codec else None
    return MODELS[name](net, loading.processor(found, codec), found, sha256, device)
