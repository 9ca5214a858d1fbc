"""Writing a bundle: every file, the checksums last, the folder by one rename, and no voice that does not speak.

Knows the order of things and what is copied byte for byte. What the files say is `record`'s and `card`'s.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import backends, disk, durable
from engine.adapter_files import ADAPTER_FILE, LORA, load_adapter, part_files
from engine.backends.exporter import ExportsFull
from engine.backends.serve.process import Interpreter
from engine.bundle import card, checking, plots, prompt, record, speaking, variants
from engine.bundle.record import Evidence, Variants
from engine.types import Adapter, BadInput, Bundle, Promotion, Reference, Refused, Speech

Speak = Callable[[str, int], Speech]
CHECK_TEXT = "Twelve small boats waited near the harbour."
CHECK_SEED = 42
LARGEST_DIFFERENCE = 2e-3  # of samples in -1..1: other summation orders, not another voice


def export(
    promotion: Promotion,
    *,
    adapter: Adapter,
    evidence: Evidence,
    target: Path,
    now: float,
    wanted: Variants | None = None,
    speak: Speak | None = None,
    reference: Reference | None = None,
    base_model: str = "",
    interpreter: Interpreter | None = None,
) -> Bundle:
    """Write the promoted voice to the folder `target`; one that is there already is checked and returned as it is.
    `reference` is the audio prompt that it was promoted with, and goes along.

    `speak(text, seed)` is the promoted candidate as the app speaks it: each form in the bundle, loaded through plain
    PEFT, must say the same tokens, else nothing is exported. Without it, and for a backend that is not installed,
    nothing is spoken and `Bundle.notes` says so. Raises Refused when the adapter is not the promoted one or has no
    verdict, BadInput when its files or an earlier export were altered, DiskFull before anything is written.
    """
    wanted = wanted or Variants()
    if wanted.merged and interpreter is not None:
        raise Refused(
            f"{promotion.candidate.backend} lives in an environment of its own, and its merged form is upstream's "
            "layout in native/, which every export of it has; leave the form merged out."
        )
    if all(verdict.id != promotion.verdict_id for verdict in evidence.verdicts):
        raise Refused(
            f"{promotion.alias} cannot be exported without verdict {promotion.verdict_id}, which it was promoted on."
        )
    check_adapter(promotion, load_adapter(adapter.path))
    if target.exists():
        return checking.verify(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    forms = 1 + len(wanted.names) + (adapter.kind != LORA)  # full weights perhaps as upstream has them, too
    needed = forms * sum(p.stat().st_size for p in adapter.path.rglob("*") if p.is_file())
    disk.must_fit(target.parent, needed, free=disk.free_bytes(target.parent), what="the export")
    building = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    try:
        _build(building, promotion, adapter, evidence, now)
        prompt.write(building, reference)
        _write_variants(building, promotion, adapter, wanted, base_model)
        check_adapter(promotion, load_adapter(building))
        notes = _check_speech(building, promotion, adapter, wanted, speak, base_model, interpreter)
        _seal(building)
        durable.rename(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return replace(checking.verify(target), notes=notes)


def check_adapter(promotion: Promotion, adapter: Adapter) -> None:
    """Raises Refused when `adapter` is not what was promoted."""
    if adapter.sha256 != promotion.adapter_sha256:
        raise Refused(
            f"The adapter in {adapter.path} is not the one that was promoted as {promotion.alias} "
            f"({adapter.sha256[:12]} instead of {promotion.adapter_sha256[:12]}); promote it anew after listening."
        )


# ---------------------------------------------------------------------------------------------------------------- files
def _build(folder: Path, promotion: Promotion, adapter: Adapter, evidence: Evidence, now: float) -> None:
    folder.mkdir()
    for file in (ADAPTER_FILE, *(f"{part}/{n}" for part in adapter.parts for n in part_files(adapter.kind))):
        _copy(adapter.path / file, folder / file)
    for number, sample in enumerate(evidence.samples, start=1):
        _copy(sample.clip.path, folder / record.sample_name(number, sample.clip))
    facts = record.facts(promotion, adapter, evidence, now=now)
    _write(folder / record.VOICE_FILE, _json(record.voice(promotion, adapter)))
    _write(folder / record.FACTS_FILE, _json(facts))
    for name, figure in plots.figures(facts).items():
        _write(folder / name, figure)
    _write(folder / record.CARD_FILE, card.text(facts, has_script=_write_script(folder, promotion, adapter)))


def _write_script(folder: Path, promotion: Promotion, adapter: Adapter) -> bool:
    """The script and what it needs; False where there is none. Most load LoRA through PEFT alone: full weights are for
    Earmark then, or merged for everybody.
    """
    exporter, scale = backends.exporter(promotion.candidate.backend), promotion.candidate.lora_scale
    if exporter is None:
        return False
    if adapter.kind == LORA:
        exporter.write_native(adapter, scale, folder / record.NATIVE)
    elif not isinstance(exporter, ExportsFull) or not exporter.write_full(adapter, scale, folder / record.NATIVE):
        return False
    _write(folder / record.SCRIPT_FILE, exporter.script())
    for name, source in exporter.code_files().items():
        _copy(source, folder / record.CODE / name)
    return True


def _write_variants(folder: Path, promotion: Promotion, adapter: Adapter, wanted: Variants, base_model: str) -> None:
    scale = promotion.candidate.lora_scale
    if wanted.baked:
        variants.bake(adapter, scale, folder / record.BAKED)
    if wanted.merged:
        model = backends.load(promotion.candidate.backend, base_model, "cpu")
        for part in adapter.parts:
            variants.merge(adapter, part, model.part(part), scale, folder / record.MERGED)


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise BadInput(f"{source} is missing, so the voice cannot be exported whole; restore it from a copy.")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _seal(folder: Path) -> None:
    """Everything on the disk, then the list of checksums."""
    for path in folder.rglob("*"):
        if path.is_file():
            durable.sync_file(path)
    sums = "".join(f"{digest}  {name}\n" for name, digest in durable.checksums(folder).items())
    durable.write_bytes(folder / record.SUMS_FILE, sums.encode())


# --------------------------------------------------------------------------------------------------------------- speech
def _check_speech(
    folder: Path,
    promotion: Promotion,
    adapter: Adapter,
    wanted: Variants,
    speak: Speak | None,
    base_model: str,
    interpreter: Interpreter | None,
) -> tuple[str, ...]:
    if speak is None:
        return ("Nothing was spoken to check this export: the promoted voice could not be rendered here.",)
    expected = speak(CHECK_TEXT, CHECK_SEED)
    voice = record.voice(promotion, adapter)
    for form in (speaking.ADAPTER, *wanted.names):
        found = speaking.speak(
            folder,
            voice,
            CHECK_TEXT,
            seed=CHECK_SEED,
            variant=form,
            base_model=base_model,
            device="cpu",
            interpreter=interpreter,
        )
        if why := checking.difference(found, expected, LARGEST_DIFFERENCE):
            raise Refused(f"The export of {promotion.alias} is not written: its {form} form {why}.")
    told = {
        "text": CHECK_TEXT,
        "seed": CHECK_SEED,
        "tokens": expected.tokens,
        "samples": len(expected.samples),
        "sha256": checking.samples_sha256(expected),
    }
    _write(folder / record.CHECK_FILE, _json(told))
    return ()
