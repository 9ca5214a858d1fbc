"""Loading: a name of this package's models and a folder become a `SpeechModel`.

Knows which class stands for which name, and nothing of what they do.
"""

from __future__ import annotations

from pathlib import Path

import torch

from engine.backends.transformers_tts import info, loading
from engine.backends.transformers_tts.csm import CsmModel
from engine.backends.transformers_tts.native import NativeModel
from engine.backends.transformers_tts.pocket_tts import PocketTtsModel


def load(name: str, folder: Path, device: str) -> NativeModel:
    """The model with the weights in `folder`. `device` is "cpu", "cuda:0" and the like, or "auto": the first GPU if
    there is one. Raises NotFound or BadInput for a folder that is not whole or not this model's.
    """
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    found = info.read(name, folder)
    sha256 = info.base_sha256(found)
    net = loading.model(found, device)
    if name == info.POCKET_TTS:
        codec = loading.codec(found, device)
        return PocketTtsModel(net, loading.processor(found, codec), found, sha256, device)
    return CsmModel(net, loading.processor(found), found, sha256, device)
