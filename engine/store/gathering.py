"""Work that arrives at the same time is done together: whoever comes first does it for all who wait.

Knows threads, and nothing of what is done. One transaction and one write to the disk for the answers of many reviewers
cost about as much as for the answer of one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

Outcome = Exception | None


@dataclass
class _Ticket(Generic[Item]):
    item: Item
    is_done: bool = False
    outcome: Outcome = None


class Gathered(Generic[Item]):
    """`work` takes items in the order they came and says of each what went wrong; it raises only when it did nothing.

    Items that it raised for are tried one by one, so that one that cannot be done stops no other.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Outcome]]) -> None:
        self._work = work
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._waiting: list[_Ticket[Item]] = []

    def do(self, item: Item) -> None:
        """Returns when the item is done; raises what went wrong with it."""
        ticket = _Ticket(item)
        with self._guard:
            self._waiting.append(ticket)
        with self._turn:
            if not ticket.is_done:  # nobody who was before us took it along
                with self._guard:
                    batch, self._waiting = self._waiting, []
                self._do(batch)
        if ticket.outcome is not None:
            raise ticket.outcome

    def _do(self, batch: Sequence[_Ticket[Item]]) -> None:
        try:
            outcomes = self._work([ticket.item for ticket in batch])
        except Exception as error:
            if len(batch) > 1:
                for ticket in batch:
                    self._do([ticket])
                return
            outcomes = [error]
        for ticket, outcome in zip(batch, outcomes, strict=True):
            ticket.is_done, ticket.outcome = True, outcome
