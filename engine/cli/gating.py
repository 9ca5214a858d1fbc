"""Verbs about gates: which there are, what one asks for, whether a file can decide, a copy to be changed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.output import table
from engine.cli.verb import Answer, Verb
from engine.gate import record as gate_record
from engine.types import BadInput, Gate

if TYPE_CHECKING:
    from engine.studio import Studio


_WANTS = {"show": ("a name",), "check": ("a file",), "copy": ("a name", "a new name")}


def _no_arguments(parser: ArgumentParser) -> None:
    """Nothing beyond the common flags."""


def _gates(studio: Studio, args: Namespace) -> Answer:
    found = studio.gates()
    rows = [
        (
            each.name,
            each.gate.version if each.gate else "-",
            "shipped" if each.is_shipped else "own",
            each.sha256[:12] or "-",
            each.gate.about if each.gate else each.fault,
        )
        for each in found
    ]
    data = [
        {
            "name": each.name,
            "version": each.gate.version if each.gate else None,
            "sha256": each.sha256,
            "shipped": each.is_shipped,
            "path": each.path,
            "fault": each.fault,
        }
        for each in found
    ]
    return Answer(data=data, text=table(("gate", "version", "", "hash", "what it is for"), rows, empty="No gates."))


# ----------------------------------------------------------------------------------------------------------------- gate
def _gate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("act", choices=tuple(_WANTS), help="show NAME, check FILE or copy NAME NEW_NAME")
    parser.add_argument("what", nargs="+", metavar="WHAT", help="a gate's name, a JSON file, or a name and a new name")
    parser.add_argument("--by", default="", help="who makes a copy")


def _gate(studio: Studio, args: Namespace) -> Answer:
    wanted = _WANTS[args.act]
    if len(args.what) != len(wanted):
        raise BadInput(f"gate {args.act} takes {' and '.join(wanted)}; you gave {len(args.what)} words.")
    if args.act == "show":
        return _shown(studio.gate(args.what[0]), "")
    if args.act == "check":
        return _shown(studio.check_gate(Path(args.what[0])), f"{args.what[0]} can decide.")
    if not args.by.strip():
        raise BadInput("Say who makes the copy with --by NAME.")
    gate = studio.copy_gate(args.what[0], args.what[1], by=args.by)
    return _shown(gate, f"Copied to {studio.workspace.gates / f'{gate.name}.json'}.")


def _shown(gate: Gate, told: str) -> Answer:
    sha256 = gate_record.sha256(gate)
    head = f"{gate.name}, version {gate.version} ({sha256[:12]}): {gate.about}"
    rows = [
        (
            rule.tier,
            rule.min_pass,
            rule.reviewers,
            rule.max_fail,
            ", ".join(rule.fatal_reasons) or "-",
            ", ".join(rule.lines) or "all",
            ", ".join(rule.automatic) or "none",
        )
        for rule in gate.rules
    ]
    columns = ("tier", "passes", "people", "fails", "fails at once", "lines", "automatic")
    rest = (
        f"heard {gate.hearing}; control: {_control(gate)}; hidden control {'on' if gate.hidden_control else 'off'}; "
        f"{gate.catch_rate:.0%} asked twice; tiers {'measured' if gate.measured_tiers else 'as the script says'}; "
        f"scripts {', '.join(sha[:12] for sha in gate.scripts) or 'all'}"
    )
    text = "\n\n".join(filter(None, [told, head, table(columns, rows, empty=""), rest]))
    return Answer(data={"gate": gate_record.to_record(gate), "sha256": sha256}, text=text)


def _control(gate: Gate) -> str:
    if gate.control is None:
        return "the candidate's own base"
    prompt = gate.control.reference_sha256[:12] or gate.control.prompt.value
    weights = f", weights {gate.control.base_sha256[:12]}" if gate.control.base_sha256 else ""
    return f"{gate.control.candidate.id}, audio prompt {prompt}{weights}"


VERBS = (
    Verb(name="gates", help="list the gates that can decide", arguments=_no_arguments, run=_gates),
    Verb(
        name="gate",
        help="show a gate, check a gate's file, or copy one to change it",
        description="Gates are JSON files; a changed gate is a new version, and verdicts keep the rules of their day.",
        arguments=_gate_arguments,
        run=_gate,
    ),
)
