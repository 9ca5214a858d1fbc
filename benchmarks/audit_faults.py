"""`python -m benchmarks.audit_faults FOLDER`: every kind of fault planted into a copy of a sound set.

Five copies have a fifth of the faults each, a sixth has them all. The table says for each whether its check named the
row, and which other rows were newly marked as an error.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine, planted
from engine import audit, needs, readers
from engine.recogniser import Recogniser
from engine.types import AuditReport, EngineError, Manifest

COPIES = 5  # each with a fifth of the faults, so that most of its rows are sound
RESULTS = Path(__file__).parent / "results" / "audit_faults.md"


@dataclass(frozen=True)
class Found:
    """What an audit made of one planted fault."""

    fault: planted.Fault
    severities: tuple[str, ...]  # of the findings of the fault's check at its rows
    newly: tuple[str, ...]  # other rows with an error that they did not have

    @property
    def ok(self) -> bool:
        """Named as it should be, at least as gravely; and nothing else became an error."""
        grave_enough = {"error"} if self.fault.severity == "error" else {"error", "warning"}
        return bool(grave_enough & set(self.severities)) and not self.newly

    @property
    def told(self) -> str:
        said = ", ".join(dict.fromkeys(self.severities)) or "NOT FOUND"
        return f"{said}; NEWLY AN ERROR: {', '.join(self.newly)}" if self.newly else said


def in_one_copy(
    sound: Manifest,
    rows: Mapping[str, planted.Fault] | Sequence[tuple[str, planted.Fault]],
    folder: Path,
    wanted: needs.Needs,
    before: AuditReport,
    recogniser: Recogniser | None = None,
) -> list[Found]:
    """Plant faults into rows of a copy in `folder`, audit it, and hold it against the report of the sound set."""
    copy = planted.copied(sound, folder)
    spoiled: list[tuple[planted.Fault, set[str]]] = []
    for row, fault in rows.items() if isinstance(rows, Mapping) else rows:
        spoiled.append((fault, set(fault.plant(copy, row) or [row])))
    report = audit.audit(readers.read(copy.write()), wanted, recogniser=recogniser)
    touched = set().union(*(names for _, names in spoiled))
    newly = tuple(sorted(report.rows_with_errors - before.rows_with_errors - touched))
    return [
        Found(
            fault,
            tuple(str(f.severity) for f in report.findings if f.check == fault.check and f.row in names),
            newly,
        )
        for fault, names in spoiled
    ]


def table(before: AuditReport, alone: Sequence[Found], together: Sequence[Found]) -> str:
    """The findings of each fault as Markdown."""
    lines = [
        f"The sound set: {len(before.manifest.utterances)} rows, {before.manifest.total_sec:.0f} s, "
        f"{len(before.rows_with_errors)} rows with an error, "
        f"{sum(str(f.severity) == 'warning' for f in before.findings)} warnings.",
        "",
        "| planted | check | aim | in a copy with few others | with all others in one copy |",
        "|---|---|---|---|---|",
    ]
    for one, among in zip(alone, together, strict=True):
        fault = one.fault
        lines.append(f"| {fault.name} | `{fault.check}` | {fault.severity} | {one.told} | {among.told} |")
    held = sum(one.ok for one in alone), sum(one.ok for one in together)
    lines += ["", f"As aimed, with no other row newly an error: {held[0]} and {held[1]} of {len(alone)}.", ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, audit, print the table and keep it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_faults", description=__doc__)
    parser.add_argument("folder", type=Path, help="a sound set in any layout that Earmark reads")
    parser.add_argument("--backend", default="finch")
    parser.add_argument("--without-recogniser", action="store_true", help="leave out what only listening can find")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table is kept")
    flags = parser.parse_args(arguments)
    from engine.audit import transcripts

    recogniser = None if flags.without_recogniser else transcripts.builtin()
    faults = [fault for fault in planted.FAULTS if recogniser is not None or not fault.hears]
    facts = machine.facts()
    try:
        sound, wanted = readers.read(flags.folder), needs.of(flags.backend)
        before = audit.audit(sound, wanted, recogniser=recogniser)
        longest_first = [u.id for u in sorted(sound.utterances, key=lambda u: -u.duration_sec)]
        each = [(longest_first[n % len(longest_first)], fault) for n, fault in enumerate(faults)]
        with tempfile.TemporaryDirectory() as scratch:
            apart: dict[str, Found] = {}
            for n in range(COPIES):
                few = in_one_copy(sound, each[n::COPIES], Path(scratch) / f"{n}", wanted, before, recogniser)
                apart |= {found.fault.name: found for found in few}
            alone = [apart[fault.name] for fault in faults]
            together = in_one_copy(sound, each, Path(scratch) / "all", wanted, before, recogniser)
    except EngineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    body = "\n".join(["# audit_faults", "", *(f"- {fact}" for fact in facts), "", table(before, alone, together)])
    print(body)
    flags.results.parent.mkdir(parents=True, exist_ok=True)
    flags.results.write_text(body, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
