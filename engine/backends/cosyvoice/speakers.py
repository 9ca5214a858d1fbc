"""The voices that a folder of CosyVoice 1 brings: a speaker's vector each, by name.

Knows upstream's `spk2info.pt`, which is read as tensors alone. Knows no adapters, which bring a vector of their own.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.backends.cosyvoice import checkout

if TYPE_CHECKING:
    from torch import Tensor


def names(path: Path) -> tuple[str, ...]:
    """The voices of a file, in its order; none where there is no file. Raises BadInput for one that is damaged."""
    return tuple(vectors(path))


def vectors(path: Path) -> dict[str, Tensor]:
    """Speaker vectors (192,) by voice. What the file holds beside them, such as somebody's prompts, is left alone."""
    return _vectors(path, path.stat().st_mtime_ns) if path.is_file() else {}


@functools.lru_cache(maxsize=4)
def _vectors(path: Path, _changed_ns: int) -> dict[str, Tensor]:
    import torch

    try:
        told: Any = torch.load(path, map_location="cpu", weights_only=True)
        known = {str(name): one["embedding"] for name, one in told.items() if "embedding" in one}
        return {name: vector.reshape(-1).float() for name, vector in known.items()}
    except Exception as error:  # the unpickler raises whatever it meets
        raise checkout.damaged(path, error) from error
