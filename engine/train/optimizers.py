"""The optimizers that a run may name. Knows torch's AdamW and, where it is installed, bitsandbytes' paged 8-bit one.

Paged 8-bit AdamW keeps two bytes of state a trained number instead of eight and lets it move to main memory when the
card is full (Dettmers et al. 2022, arXiv:2110.02861).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from engine import run_config
from engine.types import BadInput, RunConfig

if TYPE_CHECKING:
    import torch

STATE_BYTES = {"adamw": 8, run_config.PAGED: 2}  # a trained number


def make(parameters: Iterable[torch.nn.Parameter], config: RunConfig, peak_rate: float) -> torch.optim.Optimizer:
    """The config's optimizer over `parameters`. Raises BadInput when this machine cannot run it."""
    import torch

    chosen = list(parameters)
    if config.optimizer != run_config.PAGED:
        return torch.optim.AdamW(chosen, lr=peak_rate, weight_decay=config.weight_decay)
    if chosen[0].device.type != "cuda":
        raise BadInput("The 8-bit paged optimizer needs a CUDA card and this run trains on cpu; set it to adamw.")
    try:
        paged = import_module(run_config.PAGED_LIBRARY).optim.PagedAdamW8bit
    except ImportError as error:
        raise BadInput(
            f"The 8-bit paged optimizer needs {run_config.PAGED_LIBRARY} ({error}): {run_config.PAGED_MEND}; or set "
            "Optimizer to adamw."
        ) from error
    made: torch.optim.Optimizer = paged(chosen, lr=peak_rate, weight_decay=config.weight_decay)
    return made
