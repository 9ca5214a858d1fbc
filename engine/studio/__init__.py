"""The use cases of Earmark: the only thing that the pages and the command line call.

`Studio` is one object with one method a use case; each file of this folder holds those of one page. It wires the other
modules together and decides nothing that they can decide. Importing it imports no torch: models load when first needed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from engine.environments import Environment
from engine.invitations import NewInvitation
from engine.leak_records import LeakReport
from engine.studio.automatic_sweeping import EachCheckpoint
from engine.studio.deciding import GateChange, PreferenceRow
from engine.studio.evidence import AnswerSeen, ClipSeen, FlagQuestion
from engine.studio.gate_desk import GateListed
from engine.studio.grid import Grid, GridCell, Measure
from engine.studio.listening_lab import Outline
from engine.studio.listening_tests import CommonLine, SittingState, TestState
from engine.studio.matrix import MatrixRow, State, TierState
from engine.studio.releasing import Releasing
from engine.studio.results import Believed, Explorer, LineResult, Results, Unblinding
from engine.studio.tempo import RateTrend, Tempo
from engine.sweep import Request
from engine.sweep_records import AutomaticSweep
from engine.workspace import Workspace

log = logging.getLogger(__name__)

__all__ = [
    "AnswerSeen",
    "AutomaticSweep",
    "Believed",
    "ClipSeen",
    "CommonLine",
    "EachCheckpoint",
    "Environment",
    "Explorer",
    "FlagQuestion",
    "GateChange",
    "GateListed",
    "Grid",
    "GridCell",
    "LeakReport",
    "LineResult",
    "MatrixRow",
    "Measure",
    "NewInvitation",
    "Outline",
    "PreferenceRow",
    "RateTrend",
    "Request",
    "Results",
    "SittingState",
    "State",
    "Studio",
    "Tempo",
    "TestState",
    "TierState",
    "Unblinding",
]


class Studio(Releasing):
    """An open workspace with everything that can be done in it. Raises Busy when another process holds it.

    `whisper` is a folder with a Whisper model, which writes down what is said and holds texts against it.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: Callable[[], float] = time.time,
        device: str = "auto",
        whisper: Path | None = None,
    ) -> None:
        super().__init__(workspace, clock=clock, device=device)
        self.whisper_folder = whisper
        for sentence in self.repair():
            log.warning("%s", sentence)
