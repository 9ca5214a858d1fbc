"""Data-parallel training on CPU cores: one single-threaded process a core, gradients averaged.

On few cores this is about twice as fast as one process with several threads, whose operations are
too small to be worth dividing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor
from torch.multiprocessing.spawn import spawn


def run(processes: int, work: Callable[..., object], *arguments: Any) -> None:
    """Call `work(*arguments)` in this process, or in so many processes that average gradients."""
    if processes == 1:
        work(*arguments)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(_enter, (processes, port, work, arguments), processes)  # type: ignore[no-untyped-call]


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def average_gradients(parameters: Sequence[Tensor], extra: float) -> float:
    """Average the gradients over all processes, and `extra` with them; returns its mean."""
    if not distributed.is_initialized():
        return extra
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients] + [torch.tensor([extra])])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
    return float(flat[-1])


def _enter(number: int, processes: int, port: int, work: Callable[..., object], arguments: Sequence[Any]) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    distributed.init_process_group("gloo", rank=number, world_size=processes)
    try:
        work(*arguments)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
