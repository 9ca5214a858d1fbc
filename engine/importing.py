"""Bringing in what was trained elsewhere: a PEFT adapter or an exported voice becomes a checkpoint to sweep and judge.

Knows the folders that such things come in and what makes them fit a base model. Reads safetensors alone, copies the
weights byte for byte, and gives them a run of their own that is complete from its start. What is not understood to the
last tensor is refused, since a silent mismatch would sound like a bad checkpoint.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import adapter_files, backends, checkpoints, code_version, durable, manifest, run_config
from engine.adapter_files import ADAPTER_FILE, CONFIG_FILE, FULL_FILE, WEIGHTS_FILE
from engine.backends import offers
from engine.backends.exporter import KnowsForeignTrainers, ReadsNative
from engine.bundle import checking, record
from engine.events import EventLog
from engine.readers import archive
from engine.runs import making
from engine.runs.folder import RunFolder
from engine.runs.record import FORMAT_VERSION
from engine.types import Adapter, BadInput, Checkpoint, NotFound, Refused, RunConfig

if TYPE_CHECKING:
    from engine.backends.speech_model import SpeechModel

MAX_BYTES = 64 * 10**9
MAX_FILES = 10_000
STEP = 1
PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def bring_in(
    source: Path,
    *,
    model: SpeechModel,
    runs_root: Path,
    name: str,
    now: float,
    voice: str = "",
    part: str = "",
) -> Checkpoint:
    """Make a run with one checkpoint of the adapter in `source`: a folder or an archive of one.

    `model` is the base that it must fit. `voice` is the base voice of a foreign adapter (an exported voice knows its
    own), `part` the part of the model that a single PEFT folder adapts; without it the one part that it fits. Full
    weights lie in `<part>/full.safetensors`, by the part's own names. Raises BadInput for files that are missing,
    damaged or pickles, Refused for an adapter of another base or of a kind that is not plain LoRA, NotFound where there
    is nothing to bring in. Nothing is left behind then.
    """
    if isinstance(model, offers.HostsAdapters):
        path = model.bring_in(source, runs_root, name=name, now=now, voice=voice, part=part)
        return checkpoints.load(path)
    with _unpacked(source) as unpacked, _as_peft(unpacked, model) as folder:
        parts = _parts(folder, model, part)
        known = _described(folder, model)
        settings, faults = ({}, ()) if known else _beside(unpacked, model)
        adapter = known or replace(_foreign(folder, parts, model, voice), voice_settings=settings)
        return _publish(
            adapter, parts, source=source, runs_root=runs_root, name=name or _name(source), now=now, faults=faults
        )


@contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    if not source.exists():
        raise NotFound(f"{source} does not exist; give the folder or the archive of an adapter.")
    if source.is_dir():
        yield source
        return
    if source.suffix.lower() in PICKLES:  # torch's are zip archives
        raise _pickle(source)
    with tempfile.TemporaryDirectory(prefix="earmark-import-") as temporary:
        yield archive.unpack(source, Path(temporary) / "in", max_bytes=MAX_BYTES, max_files=MAX_FILES)


@contextmanager
def _as_peft(folder: Path, model: SpeechModel) -> Iterator[Path]:
    """What upstream's own tools wrote, as PEFT has it; anything else as it is."""
    exporter = backends.exporter(model.name)
    if not (isinstance(exporter, ReadsNative) and exporter.is_native(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="earmark-import-") as temporary:
        exporter.read_native(folder, Path(temporary))
        yield Path(temporary)


def _beside(folder: Path, model: SpeechModel) -> tuple[Mapping[str, float], tuple[str, ...]]:
    """What another trainer left beside its adapter, and what is known to be wrong with what it did."""
    exporter = backends.exporter(model.name)
    is_known = isinstance(exporter, ReadsNative) and exporter.is_native(folder)
    if not is_known or not isinstance(exporter, KnowsForeignTrainers):
        return {}, ()
    return exporter.native_settings(folder), exporter.native_faults(folder)


# ----------------------------------------------------------------------------------------------------------- what it is
def _parts(folder: Path, model: SpeechModel, part: str) -> dict[str, Path]:
    """The folder of each part, in the model's order."""
    offered = model.capabilities.parts
    if part and part not in offered:
        raise BadInput(f"{model.name} has no part {part!r}; it has: {', '.join(offered)}.")
    found = {n: folder / n for n in offered if any((folder / n / f).is_file() for f in (CONFIG_FILE, FULL_FILE))}
    if found:
        return found
    if (folder / CONFIG_FILE).is_file():
        return {part or _fitting_part(folder, model): folder}
    if pickled := _pickled(folder):
        raise _pickle(pickled)
    raise NotFound(
        f"There is no adapter in {folder}: {CONFIG_FILE} is missing, at its top and in {', '.join(offered)}/."
    )


def _fitting_part(folder: Path, model: SpeechModel) -> str:
    """The one part whose modules the adapter fits."""
    from engine import peft_files

    _must_be_safe(folder)
    fits, why = [], ""
    for name in model.capabilities.parts:
        try:
            peft_files.read_part(folder, model.part(name))
            fits.append(name)
        except Refused as error:
            why = why or str(error)
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise BadInput(f"The adapter in {folder} fits {' and '.join(fits)}; say which part it is of.")
    raise Refused(why)


def _described(folder: Path, model: SpeechModel) -> Adapter | None:
    """What an exported voice or a checkpoint says of itself; None for an adapter from elsewhere."""
    if not (folder / ADAPTER_FILE).is_file():
        return None
    if (folder / record.SUMS_FILE).is_file():
        checking.verify(folder)
    adapter = adapter_files.load_adapter(folder)
    if (adapter.backend, adapter.base_sha256) != (model.name, model.base_sha256):
        raise Refused(
            f"The adapter in {folder} was trained on {adapter.backend} {adapter.base_sha256[:12]} and the base here is "
            f"{model.name} {model.base_sha256[:12]}; load its own base to bring it in."
        )
    return adapter


def _foreign(folder: Path, parts: Mapping[str, Path], model: SpeechModel, voice: str) -> Adapter:
    """An adapter that only PEFT's files describe, or full weights that nothing does, checked to the last tensor."""
    from engine import full_weights, peft_files

    voices = model.capabilities.voices
    if voices and voice not in voices:
        told = f"{voice!r} is none" if voice else "it does not say"
        raise BadInput(f"Which base voice does the adapter steer? {told}; choose one of: {', '.join(voices)}.")
    is_full = all((path / FULL_FILE).is_file() for path in parts.values())
    configs: dict[str, Any] = {}
    for name, path in parts.items():
        if is_full:
            full_weights.read_part(path, model.part(name))
            configs[name] = {"r": 0, "lora_alpha": 0.0}
            continue
        _must_be_safe(path)
        peft_files.read_part(path, model.part(name))
        configs[name] = json.loads((path / CONFIG_FILE).read_text(encoding="utf-8"))
    first = next(iter(configs.values()))
    return Adapter(
        sha256="",
        path=folder,
        backend=model.name,
        base_sha256=model.base_sha256,
        voice=voice,
        parts=tuple(parts),
        rank=int(first["r"]),
        alpha=float(first["lora_alpha"]),
        kind=adapter_files.FULL if is_full else adapter_files.LORA,
    )


def _must_be_safe(folder: Path) -> None:
    if (folder / WEIGHTS_FILE).is_file():
        return
    if pickled := _pickled(folder):
        raise _pickle(pickled)
    raise BadInput(f"{folder / WEIGHTS_FILE} is missing: the adapter is not complete; copy the whole folder again.")


def _pickled(folder: Path) -> Path | None:
    """A file of a kind that torch pickles."""
    return next((path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICKLES), None)


def _pickle(path: Path) -> BadInput:
    return BadInput(
        f"{path} is a pickle, which can run code when it is opened, and is not read. Save an adapter again as "
        "safetensors (PEFT: save_pretrained(..., safe_serialization=True)). A whole model, where you trained it: open "
        "it with torch.load(..., weights_only=True), write each part's weights with safetensors.torch.save_file to "
        f"NEW_FOLDER/PART/{FULL_FILE} by the part's own names, and bring that folder in."
    )


# ------------------------------------------------------------------------------------------------------------ a new run
def _publish(
    adapter: Adapter,
    parts: Mapping[str, Path],
    *,
    source: Path,
    runs_root: Path,
    name: str,
    now: float,
    faults: tuple[str, ...],
) -> Checkpoint:
    """A run that is complete: record, one checkpoint, two events. It appears by one rename."""
    final = making.new_folder(runs_root, name, now)
    building = runs_root / f".tmp-{final.name}" / final.name
    try:
        folder = RunFolder(building)
        folder.stop_flag.parent.mkdir(parents=True)
        config = RunConfig(
            name=manifest.slug(name),
            backend=adapter.backend,
            voice=adapter.voice,
            parts=tuple(parts),
            method=adapter.kind,
            rank=min(max(adapter.rank, 1), 256),
            alpha=min(max(adapter.alpha, 0.1), 512.0),
        )
        told = {
            "format_version": FORMAT_VERSION,
            "id": final.name,
            "created_at": now,
            "config": run_config.to_json(config),
            "imported_from": source.name,
            "faults": list(faults),
            "code": code_version.facts(),
        }
        durable.write_bytes(folder.record, (json.dumps(told, indent=1) + "\n").encode())
        meta = {"epoch": 0, "train_loss": None, "val_loss": None, "created_at": now}
        path = checkpoints.publish(building, step=STEP, write=_writer(adapter, parts), meta=meta)
        _tell(folder, path, now, faults)
        final.rmdir()
        durable.rename(building, final)
    finally:
        shutil.rmtree(building.parent, ignore_errors=True)
        if final.is_dir() and not any(final.iterdir()):
            final.rmdir()
    return checkpoints.load(checkpoints.path_of(final, STEP))


def _writer(adapter: Adapter, parts: Mapping[str, Path]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name, path in parts.items():
            (folder / name).mkdir()
            for file in adapter_files.part_files(adapter.kind):
                shutil.copyfile(path / file, folder / name / file)
        written = adapter_files.write_adapter(
            folder,
            backend=adapter.backend,
            base_sha256=adapter.base_sha256,
            voice=adapter.voice,
            parts=tuple(parts),
            rank=adapter.rank,
            alpha=adapter.alpha,
            voice_settings=adapter.voice_settings,
            kind=adapter.kind,
        )
        if adapter.sha256 and written.sha256 != adapter.sha256:
            raise BadInput(f"{adapter.path} changed while it was read; bring it in again.")

    return write


def _tell(folder: RunFolder, checkpoint: Path, now: float, faults: tuple[str, ...]) -> None:
    size: Any = checkpoints.load(checkpoint).bytes
    with EventLog(folder.events, lambda: now) as events:
        events.append("note", text="Brought in from elsewhere: there is nothing to train.")
        if faults:
            events.append("note", text=f"{'; '.join(faults)}.")
        events.append(
            "checkpoint", step=STEP, epoch=0, path=checkpoint.name, train_loss=None, val_loss=None, bytes=size
        )
        events.append("end", reason="completed", exit=0, error="", step=STEP)


def _name(source: Path) -> str:
    stem = source.name
    for suffix in archive.SUFFIXES:
        stem = stem.removesuffix(suffix)
    return f"imported-{stem}"
