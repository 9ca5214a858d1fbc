"""Releasing a voice: an alias for a candidate that passed, and an export that sounds the same elsewhere and can be
verified.

Knows verdicts, adapters' folders and checksums. Decides nothing but that without a passing verdict nothing is
released. An export is a folder in PEFT's format (a folder a part) with `adapter.json`, `earmark.json` (scale,
settings, harness, base, verdict), a model card and `SHA256SUMS`; it appears whole, by one rename.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine import durable, model_card
from engine.adapters import ADAPTER_FILE, CONFIG_FILE, WEIGHTS_FILE, load_adapter
from engine.harness import HARNESS_VERSION
from engine.types import (
    Adapter,
    BadInput,
    Bundle,
    Candidate,
    DiskFull,
    GenerationSettings,
    NotFound,
    Outcome,
    Promotion,
    Refused,
    Tier,
    Verdict,
)

FORMAT_VERSION = 1
SUMS_FILE = "SHA256SUMS"
FACTS_FILE = "earmark.json"
CARD_FILE = "README.md"
DEFAULT_LICENCE = "The adapter carries the licences of its base model and of the recordings that it was trained on."

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_SUM_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


# -------------------------------------------------------------------------------------------------------------- promote
def promote(
    candidate: Candidate,
    *,
    adapter: Adapter | None,
    verdict: Verdict | None,
    alias: str,
    settings: GenerationSettings,
    by: str,
    now: float,
    reason: str = "",
) -> Promotion:
    """Point `alias` at `candidate`. `verdict` is the one in force about it, `adapter` its checkpoint's.

    Raises Refused for the base model, without a verdict, and unless every tier of the verdict passed; BadInput for an
    alias that is not `stage/voice`, or without the name of who promotes.
    """
    if not _ALIAS.fullmatch(alias):
        raise BadInput(f"{alias!r} is no alias; write it as stage/voice, for example production/robin.")
    if not by.strip():
        raise BadInput(f"Promoting {candidate.id} needs the name of who decides it.")
    if candidate.is_base or adapter is None:
        raise Refused(f"{candidate.id} is the base model, the control of every gate; promote a tuned candidate.")
    passed = _passing(candidate, verdict)
    identity = f"{alias}\0{candidate.id}\0{passed.id}\0{by}\0{now!r}"
    return Promotion(
        id=hashlib.sha256(identity.encode()).hexdigest()[:12],
        alias=alias,
        candidate=candidate,
        adapter_sha256=adapter.sha256,
        base_sha256=adapter.base_sha256,
        settings=settings,
        harness_version=HARNESS_VERSION,
        gate=passed.gate,
        gate_version=passed.gate_version,
        verdict_id=passed.id,
        promoted_by=by.strip(),
        promoted_at=now,
        reason=reason.strip(),
    )


def _passing(candidate: Candidate, verdict: Verdict | None) -> Verdict:
    """The verdict, when it lets this very candidate be released."""
    if verdict is None or verdict.candidate != candidate:
        raise Refused(f"{candidate.id} has no verdict yet; let reviewers judge it in Listen first.")
    if verdict.outcome is not Outcome.PASS:
        why = next((f" {f.explanation}" for f in verdict.findings if f.outcome is verdict.outcome), "")
        what = "failed its gate" if verdict.outcome is Outcome.FAIL else "is undecided"
        raise Refused(f"{candidate.id} {what} and cannot be promoted.{why}")
    heard = {finding.tier for finding in verdict.findings if finding.outcome is Outcome.PASS}
    if missing := [tier for tier in Tier if tier not in heard]:
        raise Refused(
            f"{candidate.id} was not passed in the {', '.join(missing)} tier; only a pass in all tiers is promoted."
        )
    return verdict


# --------------------------------------------------------------------------------------------------------------- export
def export(
    promotion: Promotion,
    *,
    adapter: Adapter,
    verdict: Verdict | None,
    exports: Path,
    now: float,
    facts: Mapping[str, str] | None = None,
    licence: str = DEFAULT_LICENCE,
) -> Bundle:
    """Write the promoted adapter under `exports`, verified; what was exported before is verified and returned as it is.

    `verdict` is the promotion's evidence; `facts` are lines about the data for the model card. Raises Refused when the
    adapter is not the promoted one, BadInput when its files or an earlier export were altered, DiskFull before
    anything is written.
    """
    if verdict is None or verdict.id != promotion.verdict_id:
        raise Refused(
            f"{promotion.alias} cannot be exported without verdict {promotion.verdict_id}, which it was promoted on."
        )
    _check_adapter(promotion, load_adapter(adapter.path))
    target = exports / f"{promotion.alias.replace('/', '-')}-{promotion.id}"
    if target.exists():
        return verify(target)
    record = _record(promotion, adapter, verdict, dict(facts or {}), licence, now)
    exports.mkdir(parents=True, exist_ok=True)
    _check_space(exports, adapter)
    building = exports / f".{target.name}.tmp"
    shutil.rmtree(building, ignore_errors=True)
    try:
        _build(building, adapter, record)
        _check_adapter(promotion, load_adapter(building))
        durable.rename(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return verify(target)


def _check_adapter(promotion: Promotion, adapter: Adapter) -> None:
    if adapter.sha256 != promotion.adapter_sha256:
        raise Refused(
            f"The adapter in {adapter.path} is not the one that was promoted as {promotion.alias} "
            f"({adapter.sha256[:12]} instead of {promotion.adapter_sha256[:12]}); promote it anew after listening."
        )


def _check_space(exports: Path, adapter: Adapter) -> None:
    needed = sum(path.stat().st_size for path in adapter.path.rglob("*") if path.is_file())
    free = shutil.disk_usage(exports).free
    if free < needed:
        raise DiskFull(
            f"{exports} has {free / 1e6:.0f} MB left and the export needs {needed / 1e6:.0f} MB; free some space."
        )


def _record(
    promotion: Promotion, adapter: Adapter, verdict: Verdict, facts: dict[str, str], licence: str, now: float
) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "promotion": asdict(promotion),
        "adapter": {**asdict(adapter), "path": "."},
        "verdict": asdict(verdict),
        "data": facts,
        "licence": licence,
        "exported_at": now,
    }


def _build(folder: Path, adapter: Adapter, record: Mapping[str, Any]) -> None:
    """Write all files, the list of checksums last."""
    folder.mkdir()
    wanted = [
        Path(ADAPTER_FILE),
        *(Path(part) / name for part in adapter.parts for name in (CONFIG_FILE, WEIGHTS_FILE)),
    ]
    for name in wanted:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(adapter.path / name, folder / name)
        durable.sync_file(folder / name)
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    durable.write_bytes(folder / FACTS_FILE, text.encode())
    durable.write_bytes(folder / CARD_FILE, model_card.text(record).encode())
    sums = "".join(f"{digest}  {name}\n" for name, digest in durable.checksums(folder).items())
    durable.write_bytes(folder / SUMS_FILE, sums.encode())


# --------------------------------------------------------------------------------------------------------------- verify
def verify(path: Path) -> Bundle:
    """Check an exported folder against its checksums. Raises BadInput naming an altered, missing or extra file."""
    if not path.is_dir():
        raise NotFound(f"There is no exported folder {path}; name the one that holds {SUMS_FILE}.")
    sums_path = path / SUMS_FILE
    if not sums_path.is_file():
        raise BadInput(f"{sums_path} is missing: this is no export, or not all of it; export it again.")
    raw = sums_path.read_bytes()
    stated = _stated(sums_path, raw)
    found = durable.checksums(path)
    found.pop(SUMS_FILE)
    for name in sorted(stated.keys() | found.keys()):
        if name not in found:
            raise BadInput(f"{path / name} is missing: the export is not complete; copy or export it again.")
        if name not in stated:
            raise BadInput(f"{path / name} does not belong to the export; remove it, or export again.")
        if stated[name] != found[name]:
            raise BadInput(
                f"{path / name} was altered: its checksum is not the one in {SUMS_FILE}; copy or export it again."
            )
    return Bundle(path=path, sha256=hashlib.sha256(raw).hexdigest(), files=stated, verified=True)


def _stated(sums_path: Path, raw: bytes) -> dict[str, str]:
    stated: dict[str, str] = {}
    for number, line in enumerate(raw.decode("utf-8", errors="replace").splitlines(), start=1):
        matched = _SUM_LINE.fullmatch(line)
        if matched is None:
            raise BadInput(f"Line {number} of {sums_path} is no checksum line; the list was altered, export it again.")
        stated[matched[2]] = matched[1]
    if FACTS_FILE not in stated or ADAPTER_FILE not in stated:
        raise BadInput(
            f"{sums_path} does not list {FACTS_FILE} and {ADAPTER_FILE}; the list was altered, export it again."
        )
    return stated
