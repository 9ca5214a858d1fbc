"""`python -m engine.backends.finch.pretrain STAGE --work DIR`: makes Finch, stage by stage."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.backends.finch.pretrain import (
    data,
    demo_data,
    evaluate,
    evaluate_tuning,
    model_card,
    pack,
    parallel,
    train_codec,
    train_ear,
    train_lm,
    train_vocoder,
)

_ASSETS = Path(__file__).parents[4] / "assets" / "finch"
_SENTENCES = _ASSETS / "sentences.txt.gz"
_GROUPS = 3200


@dataclass(frozen=True)
class Options:
    """What the command line says; `minutes` is None where the stage's own default holds."""

    work: Path
    folder: Path
    minutes: float | None
    threads: int

    def minutes_or(self, default: float) -> float:
        return default if self.minutes is None else self.minutes


STAGES: dict[str, Callable[[Options], object]] = {
    "data": lambda o: data.run(o.work, _SENTENCES, _GROUPS, o.threads),
    "ear": lambda o: train_ear.run(o.work, o.minutes_or(9), "ear", _SENTENCES),
    "second_ear": lambda o: train_ear.run(o.work, o.minutes_or(8), "second_ear", _SENTENCES),
    "vocoder": lambda o: train_vocoder.run(o.work, o.minutes_or(6)),
    "codec": lambda o: parallel.run(o.threads, train_codec.run, o.work, o.minutes_or(24), _SENTENCES),
    "tokens": lambda o: train_lm.tokenise(o.work, o.threads),
    "lm": lambda o: parallel.run(o.threads, train_lm.run, o.work, o.minutes_or(60)),
    "pack": lambda o: pack.run(o.work, o.folder),
    "evaluate": lambda o: evaluate.run(o.work, o.folder),
    "evaluate_tuning": lambda o: evaluate_tuning.run(o.folder),
    "card": lambda o: model_card.run(o.folder),
    "demo_data": lambda o: demo_data.make(o.work / "demo"),
}
"""Stages in the order in which they depend on each other; each keeps what is already there."""


def main() -> None:
    """Parse the command line and run one stage, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=[*STAGES, "all"])
    parser.add_argument("--work", type=Path, required=True, help="folder for data and checkpoints")
    parser.add_argument("--folder", type=Path, default=_ASSETS, help="where packed weights go")
    parser.add_argument("--minutes", type=float, help="training time of the stage")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    options = Options(arguments.work, arguments.folder, arguments.minutes, arguments.threads)
    for name in STAGES if arguments.stage == "all" else [arguments.stage]:
        STAGES[name](options)


if __name__ == "__main__":
    main()
