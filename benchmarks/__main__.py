"""`python -m benchmarks [NAME ...]`: measure, print the tables, keep them in `benchmarks/results/`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    adapters,
    adaptive,
    app_start,
    audit,
    full_retention,
    full_swap,
    listening_load,
    machine,
    mixed_rows,
    pocket_tts,
    press_to_sound,
    saving,
    sweep,
    trainer,
    voxcpm,
    watching,
)
from benchmarks.measure import Table
from engine.types import EngineError

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, Callable[[int, str], Sequence[Table]]] = {
    "adapters": adapters.run,
    "adaptive": adaptive.run,
    "audit": audit.run,
    "trainer": trainer.run,
    "press_to_sound": press_to_sound.run,
    "saving": saving.run,
    "full_swap": full_swap.run,
    "sweep": sweep.run,
    "app_start": app_start.run,
    "watching": watching.run,
    "listening_load": listening_load.run,
    "voxcpm": voxcpm.run,
    "pocket_tts": pocket_tts.run,
    "mixed_rows": mixed_rows.run,
    "full_retention": full_retention.run,
}
ON_REQUEST = frozenset({"full_retention"})  # gigabytes of memory and disk


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks (all of them by default); returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all but {', '.join(ON_REQUEST)}"
    )
    parser.add_argument("--turns", type=int, default=5, help="how often each is measured (default 5)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the tables are kept")
    parser.add_argument("--base-model", default="", help="other weights of the voice than the built-in ones")
    flags = parser.parse_args(arguments)
    if unknown := set(flags.names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {min(unknown)!r}; there are {', '.join(BENCHMARKS)}")
    flags.results.mkdir(parents=True, exist_ok=True)
    for name in flags.names or (name for name in BENCHMARKS if name not in ON_REQUEST):
        facts = machine.facts()
        try:
            tables = BENCHMARKS[name](flags.turns, flags.base_model)
        except EngineError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return error.exit_code
        body = "\n".join([f"# {name}", "", *(f"- {fact}" for fact in facts), "", *(t.markdown() for t in tables)])
        print(body)
        (flags.results / f"{name}.md").write_text(body, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
