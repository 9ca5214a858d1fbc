"""An adapter's folder: its identity and its description on disk.

Knows `adapter.json` and the names of the files beside it: a folder a part, in PEFT's format or with full weights. Reads
no tensor and imports no torch: what the weights mean is for `peft_files` and `full_weights`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.types import Adapter, BadInput, NotFound

ADAPTER_FILE = "adapter.json"
CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
FULL_FILE = "full.safetensors"
LORA, FULL = "lora", "full"
FORMAT_VERSION = 1


def adapter_sha256(path: Path, parts: Sequence[str], kind: str = LORA) -> str:
    """Content hash of an adapter: the weights' bytes and the config's meaning of every part, in the order of their
    names.

    The config is hashed as canonical JSON with sorted target modules, because PEFT writes that set in any order: the
    same training gives the same hash. Full weights have no config. Raises BadInput naming a file that is missing or
    cannot be read.
    """
    digest = hashlib.sha256()
    for part in sorted(parts):
        if kind == LORA:
            config = _read_json(path / part / CONFIG_FILE)
            targets = config.get("target_modules")
            if isinstance(targets, list):
                config["target_modules"] = sorted(targets)
            digest.update(f"{part}\0{json.dumps(config, sort_keys=True)}\0".encode())
        else:
            digest.update(f"{kind}\0{part}\0".encode())
        weights = path / part / (WEIGHTS_FILE if kind == LORA else FULL_FILE)
        if not weights.is_file():
            raise BadInput(
                f"{weights} is missing: the adapter is not complete; copy the whole folder again or pick another one."
            )
        with weights.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def part_files(kind: str) -> tuple[str, ...]:
    """The names of the files in a part's folder."""
    return (CONFIG_FILE, WEIGHTS_FILE) if kind == LORA else (FULL_FILE,)


def write_adapter(
    path: Path,
    *,
    backend: str,
    base_sha256: str,
    voice: str,
    parts: Sequence[str],
    rank: int,
    alpha: float,
    voice_settings: Mapping[str, float],
    kind: str = LORA,
) -> Adapter:
    """Write `adapter.json` beside the parts that were saved under `path`, and return the adapter that it describes."""
    adapter = Adapter(
        sha256=adapter_sha256(path, parts, kind),
        path=path,
        backend=backend,
        base_sha256=base_sha256,
        voice=voice,
        parts=tuple(parts),
        rank=rank,
        alpha=alpha,
        voice_settings=dict(voice_settings),
        kind=kind,
    )
    record = {
        "format_version": FORMAT_VERSION,
        "sha256": adapter.sha256,
        "backend": backend,
        "base_sha256": base_sha256,
        "voice": voice,
        "parts": list(parts),
        "rank": rank,
        "alpha": alpha,
        "voice_settings": dict(voice_settings),
        "kind": kind,
    }
    (path / ADAPTER_FILE).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return adapter


def load_adapter(path: Path) -> Adapter:
    """The adapter of a checkpoint's or an export's folder, its hash checked. Loads no weights and no torch.

    Raises NotFound when `path` holds no `adapter.json`, BadInput when it is damaged or its files do not have the hash
    it states.
    """
    adapter = read_adapter(path)
    found = adapter_sha256(path, adapter.parts, adapter.kind)
    if found != adapter.sha256:
        raise BadInput(
            f"The weights or the config in {path} are not those that {ADAPTER_FILE} describes "
            f"({found[:12]} instead of {adapter.sha256[:12]}): they were altered; copy the folder again."
        )
    return adapter


def read_adapter(path: Path) -> Adapter:
    """What `adapter.json` says, without reading the weights: for lists, where hashing every adapter would take seconds.

    Raises NotFound when `path` holds no `adapter.json`, BadInput when that is damaged.
    """
    file = path / ADAPTER_FILE
    if not file.is_file():
        raise NotFound(
            f"There is no adapter in {path}: {ADAPTER_FILE} is missing; name a checkpoint's or an export's folder."
        )
    record = _read_json(file)
    if record.get("format_version") != FORMAT_VERSION:
        raise BadInput(
            f"{file} has format version {record.get('format_version')!r}, this version reads {FORMAT_VERSION}: "
            "use the version that wrote it."
        )
    try:
        return Adapter(
            sha256=str(record["sha256"]),
            path=path,
            backend=str(record["backend"]),
            base_sha256=str(record["base_sha256"]),
            voice=str(record["voice"]),
            parts=tuple(str(part) for part in record["parts"]),
            rank=int(record["rank"]),
            alpha=float(record["alpha"]),
            voice_settings={str(key): float(value) for key, value in record["voice_settings"].items()},
            kind=_kind(record),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{file} is not an adapter's description ({error!r}): copy the folder again from where it came."
        ) from error


def _kind(record: Mapping[str, Any]) -> str:
    """Folders from before full fine-tuning have no kind."""
    kind = str(record.get("kind", LORA))
    if kind not in (LORA, FULL):
        raise ValueError(f"kind {kind!r} is not known")
    return kind


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing: the adapter is not complete; copy the whole folder again.") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as JSON ({error}): copy the folder again from where it came.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path} does not hold a JSON object: copy the folder again from where it came.")
    return value
