"""A device that is smaller than it is: raises torch's own out-of-memory error when living tensors pass a limit.

Knows nothing of training. It is for trying what a failure by memory looks like without a card that small: set
`EARMARK_MEMORY_LIMIT_MB` for a trainer. Counts the storage of every tensor that is made while it is on, until it is
freed, and of those it is told about; it slows training down.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

VARIABLE = "EARMARK_MEMORY_LIMIT_MB"


@contextmanager
def from_environment() -> Iterator[None]:
    """The limit that the environment asks for during the block; none where it does not."""
    asked = os.environ.get(VARIABLE)
    if not asked:
        yield
        return
    with limited(round(float(asked) * 1e6)):
        yield


@contextmanager
def limited(most_bytes: int) -> Iterator[None]:
    """Within the block, tensors that are made may hold `most_bytes` together."""
    import torch
    from torch.utils import _pytree
    from torch.utils._python_dispatch import TorchDispatchMode

    held: dict[int, tuple[int, weakref.ref[torch.UntypedStorage]]] = {}

    def count(tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in held and held[key][1]() is storage:
            return
        size = storage.nbytes()
        used = sum(known for known, _ in held.values())
        if used + size > most_bytes:
            raise torch.OutOfMemoryError(
                f"Tried to allocate {size / 1e6:.2f} MB; {used / 1e6:.2f} MB of the {most_bytes / 1e6:.2f} MB that "
                f"{VARIABLE} allows are in use."
            )
        held[key] = (size, weakref.ref(storage, lambda _: held.pop(key, None)))

    class Limit(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for leaf in _pytree.tree_leaves(result):
                if isinstance(leaf, torch.Tensor):
                    count(leaf)
            return result

    with Limit():  # type: ignore[no-untyped-call]
        yield
