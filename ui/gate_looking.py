"""What somebody looks at on the Gate page, and which lists they choose from: an answer that comes late changes neither.

Knows names of what is chosen and lists of choices; knows no gate. Every event of a tab gets the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr


@dataclass(frozen=True, kw_only=True)
class Look:
    """A gate, a run, a tier, and the cell whose evidence is open; empty where nothing was chosen yet."""

    gate: str = ""
    run: str = ""
    tier: str = ""
    cell: str = ""


class Offers:
    """Lists to choose from, beside those that were drawn before."""

    def __init__(self, before: Mapping[str, object]) -> None:
        self.lists = dict(before)

    def update(self, name: str, choices: list[Any], **more: Any) -> object:
        """The update of a list; the same list as before is left alone, with what was chosen from it."""
        if self.lists.get(name) == choices:
            return gr.skip()
        self.lists[name] = choices
        return gr.update(choices=choices, **more)


@dataclass
class Looking:
    """What one tab shows."""

    now: Look = field(default_factory=Look)
    _lists: Mapping[str, object] = field(default_factory=dict)

    def turn_to(self, gate: str, run: str | None, tier: str, cell: str | None = None) -> None:
        """Look at something else; without a cell at the same one."""
        self.now = replace(self.now, gate=gate, run=run or "", tier=tier)
        if cell is not None:
            self.now = replace(self.now, cell=cell)

    def drawn(self, draw: Callable[[Look, Offers], tuple[object, ...]]) -> tuple[object, ...]:
        """What `draw` makes of what is looked at when it is done: somebody may have turned elsewhere meanwhile."""
        while True:
            look, offers = self.now, Offers(self._lists)
            made = draw(look, offers)
            if look is self.now:
                self._lists = offers.lists
                return made
