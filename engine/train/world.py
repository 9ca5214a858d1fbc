"""The processes that share a training: how they split the batches of a step and add up what they found.

Knows sums, broadcasts and their order; what is summed is not its business. The plan of a run does not depend on how
many processes there are: batch i of a step goes to process i modulo their number, with the seed it would have had
anyway, so losses are those of one process up to the order of additions. `Alone` costs nothing. `Together` goes through
accelerate: NCCL where the processes have cards, gloo on CPUs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import torch

_T = TypeVar("_T")
# Process 0 waits for room on the disk or for somebody's clips as long as it takes; the others wait for it.
PATIENCE_DAYS = 30


class World(Protocol):
    """`rank` 0 leads: it alone writes, decides and is asked to stop."""

    rank: int
    size: int

    def mine(self, work: Sequence[_T]) -> Iterator[tuple[int, _T]]:
        """This process's share of a list, with each one's place in it."""
        ...

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Make every process's gradients the sum of all."""
        ...

    def add(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The sums over all processes, by name."""
        ...

    def told(self, value: _T | None) -> _T:
        """What process 0 says; the others' `value` does not matter."""
        ...

    def gather(self) -> None:
        """Wait until all are here."""
        ...


class Alone:
    """One process."""

    rank = 0
    size = 1

    def mine(self, work: Sequence[_T]) -> Iterator[tuple[int, _T]]:
        return iter(enumerate(work))

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        pass

    def add(self, numbers: Mapping[str, float]) -> dict[str, float]:
        return dict(numbers)

    def told(self, value: _T | None) -> _T:
        return value  # type: ignore[return-value]  # rank 0 always gives one

    def gather(self) -> None:
        pass


class Together:
    """One of several processes. Its environment says which (RANK, WORLD_SIZE, ... as torchrun and accelerate set
    them). Making it waits for the others.
    """

    def __init__(self, *, on_cpu: bool) -> None:
        from accelerate import PartialState

        self._state = PartialState(cpu=on_cpu, timeout=timedelta(days=PATIENCE_DAYS))
        self.rank: int = self._state.process_index
        self.size: int = self._state.num_processes
        self.device: torch.device = self._state.device

    def mine(self, work: Sequence[_T]) -> Iterator[tuple[int, _T]]:
        return ((i, one) for i, one in enumerate(work) if i % self.size == self.rank)

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        import torch
        from accelerate.utils import reduce

        # One message for all: a process without a batch of its own in this step has no gradients and adds nothing.
        trained = list(parameters)
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])
        total: torch.Tensor = reduce(flat, "sum")
        at = 0
        for p in trained:
            p.grad = total[at : at + p.numel()].view_as(p)
            at += p.numel()

    def add(self, numbers: Mapping[str, float]) -> dict[str, float]:
        import torch
        from accelerate.utils import reduce

        # float64 on CPUs and cards alike: sums of losses do not depend on the order more than they must
        total = reduce(torch.tensor(list(numbers.values()), dtype=torch.float64, device=self.device), "sum")
        return dict(zip(numbers, total.tolist(), strict=True))

    def told(self, value: _T | None) -> _T:
        from accelerate.utils import broadcast_object_list

        message: list[Any] = broadcast_object_list([value], from_process=0)
        said: _T = message[0]
        return said

    def gather(self) -> None:
        self._state.wait_for_everyone()

    def leave(self) -> None:
        """Say goodbye, so that the libraries do not wait for this process."""
        self._state.destroy_process_group()
        type(self._state)._reset_state()
