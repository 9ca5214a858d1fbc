"""A gate as JSON, strictly: every field known, in its bounds, and named in the error when it is not. Pure.

Knows the record and the hash that is a version's identity: of everything in it, in canonical JSON. Knows no files and
nothing of answers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from engine.types import OTHER, REASON_CODES, BadInput, Control, ControlPrompt, Gate, Hearing, Rule, Tier

MAX_REVIEWERS, MAX_CLIPS = 20, 100
MAX_CATCH_RATE = 0.5
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GATE_FIELDS = tuple(
    "name version about tiers reasons hearing hidden_control catch_rate scripts measured_tiers control".split()
)
_CONTROL_FIELDS = tuple("backend voice prompt reference_sha256 base_sha256".split())
_RULE_FIELDS = tuple("tier min_pass max_fail reviewers fatal_reasons lines automatic".split())


def to_record(gate: Gate) -> dict[str, Any]:
    """The gate as JSON has it; `from_record` gives the same gate back. Every field is named, but for a control that is
    not of another model: gates from before there were any keep their hashes.
    """
    apart = ("rules", "control")
    record: dict[str, Any] = {key: _plain(value) for key, value in asdict(gate).items() if key not in apart}
    if gate.control is not None:
        record["control"] = {key: _plain(value) for key, value in asdict(gate.control).items()}
    record["tiers"] = [{key: _plain(value) for key, value in asdict(rule).items()} for rule in gate.rules]
    return record


def _plain(value: Any) -> Any:
    """What JSON gives back for a value: a list for a tuple, a text for a word of ours."""
    if isinstance(value, tuple):
        return list(value)
    return value.value if isinstance(value, StrEnum) else value


def sha256(gate: Gate) -> str:
    """The identity of this version: the hash of its record in canonical JSON; a file's layout does not matter."""
    canonical = json.dumps(to_record(gate), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def from_record(data: Any, *, where: str, screeners: Collection[str] | None = None) -> Gate:
    """A gate from its JSON. `where` names the source in errors; `screeners` are those an automatic rule may name (None:
    any).

    Raises BadInput naming the field and the mend: for a field that is missing, unknown or out of bounds, a tier without
    a rule or with two, a reason that is not offered.
    """
    record = _Fields(data, where, _GATE_FIELDS)
    rows = record.rows("tiers")
    gate = Gate(
        name=record.name(),
        version=record.count("version", 1, 1_000_000),
        about=record.text("about", ""),
        rules=tuple(_rule(row, f"{where}, tier {number}") for number, row in enumerate(rows, 1)),
        reasons=record.names("reasons", REASON_CODES),
        hearing=Hearing(record.one_of("hearing", [hearing.value for hearing in Hearing], Hearing.ALONE.value)),
        hidden_control=record.yes_no("hidden_control", False),
        catch_rate=record.share("catch_rate", MAX_CATCH_RATE),
        scripts=record.names("scripts", ()),
        measured_tiers=record.yes_no("measured_tiers", True),
        control=_control(record.part("control"), f"{where}, control"),
    )
    check(gate, where=where, screeners=screeners)
    return gate


def check(gate: Gate, *, where: str = "", screeners: Collection[str] | None = None) -> None:
    """Raises BadInput for a gate that cannot decide, or that could let something pass unheard."""
    where = where or f"Gate {gate.name!r}"
    tiers = Counter(rule.tier for rule in gate.rules)
    if missing := [tier for tier in Tier if tiers[tier] == 0]:
        raise BadInput(f"{where} has no rule for the {', '.join(missing)} tier; nothing passes unheard, so add one.")
    if twice := [tier for tier, count in tiers.items() if count > 1]:
        raise BadInput(f"{where} has two rules for the {', '.join(twice)} tier; keep one.")
    _among(gate.reasons, REASON_CODES, "reasons", where)
    if OTHER not in gate.reasons:
        raise BadInput(
            f"{where}: reasons must hold {OTHER!r}, or a reviewer has no word for what no code says; add it."
        )
    for rule in gate.rules:
        _check_rule(rule, gate, f"{where}, {rule.tier} tier", screeners)
    for script in gate.scripts:
        if not _SHA256.fullmatch(script):
            raise BadInput(f"{where}: scripts has {script!r}, which is no script's SHA-256 (64 hex digits).")
    if gate.control is not None:
        _check_control(gate.control, f"{where}, control")
        if gate.hearing is Hearing.ALONE and not gate.hidden_control:
            raise BadInput(
                f"{where} names a control that nobody would hear: set hearing to {Hearing.BESIDE_CONTROL.value!r} or "
                "hidden_control to true, or leave the control out."
            )


def _control(data: Any, where: str) -> Control | None:
    if data is None:
        return None
    record = _Fields(data, where, _CONTROL_FIELDS)
    return Control(
        backend=record.text("backend", None),
        voice=record.text("voice", None),
        prompt=ControlPrompt(record.one_of("prompt", [each.value for each in ControlPrompt], ControlPrompt.SAME.value)),
        reference_sha256=record.text("reference_sha256", ""),
        base_sha256=record.text("base_sha256", ""),
    )


def _check_control(control: Control, where: str) -> None:
    if not control.backend or not control.voice:
        raise BadInput(f"{where}: name the control's backend and its base voice, such as cosyvoice2 and default.")
    if control.base_sha256 and not _SHA256.fullmatch(control.base_sha256):
        raise BadInput(
            f"{where}: base_sha256 is {control.base_sha256!r}, no SHA-256 of weights; leave it empty for any."
        )
    has_own = control.prompt is ControlPrompt.OWN
    if has_own and not _SHA256.fullmatch(control.reference_sha256):
        raise BadInput(
            f"{where}: prompt is 'own' and reference_sha256 is {control.reference_sha256!r}; give the hash (64 hex "
            "digits) of a reference that the workspace keeps."
        )
    if control.reference_sha256 and not has_own:
        raise BadInput(
            f"{where}: prompt is {control.prompt.value!r} and a reference is named too; set prompt to 'own', or leave "
            "reference_sha256 out."
        )


def _check_rule(rule: Rule, gate: Gate, where: str, screeners: Collection[str] | None) -> None:
    if rule.min_pass < 1 or rule.reviewers < 1:
        raise BadInput(f"{where} could pass without a pass; set min_pass and reviewers to at least 1.")
    if rule.max_fail < 0:
        raise BadInput(f"{where}: max_fail is {rule.max_fail}; set it to 0 or more.")
    if rule.lines and len(rule.lines) < rule.min_pass:
        raise BadInput(
            f"{where} asks for {rule.min_pass} passes of {len(rule.lines)} lines; lower min_pass or add lines."
        )
    _among(rule.fatal_reasons, gate.reasons, "fatal_reasons", where)
    if screeners is not None:
        _among(rule.automatic, sorted(screeners), "automatic", where)


def _among(given: Sequence[str], known: Sequence[str], field: str, where: str) -> None:
    for each in given:
        if each not in known:
            raise BadInput(f"{where}: {field} has {each!r}, which is none of {', '.join(known)}; take it out.")


def _rule(data: Any, where: str) -> Rule:
    record = _Fields(data, where, _RULE_FIELDS)
    return Rule(
        tier=Tier(record.one_of("tier", [tier.value for tier in Tier], None)),
        min_pass=record.count("min_pass", 1, MAX_CLIPS, 1),
        max_fail=record.count("max_fail", 0, MAX_CLIPS, 0),
        reviewers=record.count("reviewers", 1, MAX_REVIEWERS, 1),
        fatal_reasons=record.names("fatal_reasons", ()),
        lines=record.names("lines", ()),
        automatic=record.names("automatic", ()),
    )


class _Fields:
    """The fields of one JSON object, each read with its kind and bounds."""

    def __init__(self, data: Any, where: str, known: Sequence[str]) -> None:
        if not isinstance(data, Mapping):
            raise BadInput(f"{where} is not a JSON object with the fields {', '.join(known)}.")
        if unknown := [str(key) for key in data if key not in known]:
            raise BadInput(
                f"{where} has the field {unknown[0]!r}, which no gate has; the fields are {', '.join(known)}."
            )
        self._data, self._where = data, where

    def name(self) -> str:
        found = self.text("name", None)
        if not NAME.fullmatch(found):
            raise self._bad("name", "small letters, digits and dashes, at most 40, for example launch-voice")
        return found

    def text(self, key: str, default: str | None) -> str:
        found = self._get(key, default)
        if not isinstance(found, str):
            raise self._bad(key, "a text")
        return found.strip()

    def count(self, key: str, low: int, high: int, default: int | None = None) -> int:
        found = self._get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise self._bad(key, f"a whole number from {low} to {high}")
        return found

    def share(self, key: str, high: float) -> float:
        found = self._get(key, 0.0)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0.0 <= found <= high:
            raise self._bad(key, f"a share from 0 to {high:g}")
        return float(found)

    def yes_no(self, key: str, default: bool) -> bool:
        found = self._get(key, default)
        if not isinstance(found, bool):
            raise self._bad(key, "true or false")
        return found

    def one_of(self, key: str, known: Sequence[str], default: str | None) -> str:
        found = self._get(key, default)
        if found not in known:
            raise self._bad(key, f"one of {', '.join(known)}")
        return str(found)

    def names(self, key: str, default: Sequence[str]) -> tuple[str, ...]:
        found = self._get(key, list(default))
        if not isinstance(found, list) or not all(isinstance(each, str) and each for each in found):
            raise self._bad(key, "a list of texts")
        if len(set(found)) < len(found):
            raise self._bad(key, "a list without doubles")
        return tuple(found)

    def rows(self, key: str) -> list[Any]:
        found = self._get(key, None)
        if not isinstance(found, list):
            raise self._bad(key, "a list with one rule for each tier")
        return found

    def part(self, key: str) -> Any:
        """An object of its own; None where there is none."""
        return self._data.get(key)

    def _get(self, key: str, default: object) -> Any:
        found = self._data.get(key, default)
        if found is None:
            raise BadInput(f"{self._where} has no field {key!r}; add it.")
        return found

    def _bad(self, key: str, wanted: str) -> BadInput:
        return BadInput(f"{self._where}: {key} is {json.dumps(self._data.get(key), default=str)}; give {wanted}.")
