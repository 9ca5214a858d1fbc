"""Checking a bundle: every file by its checksum, and that plain PEFT still makes it say what it said.

Knows `SHA256SUMS` and the check that was spoken when the bundle was written. Mends nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import backends, durable
from engine.adapter_files import ADAPTER_FILE
from engine.backends.serve.process import Interpreter
from engine.bundle import record
from engine.types import BadInput, Bundle, NotFound, Refused, Speech

Interpreters = Callable[[str], Interpreter | None]
_SUM_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


def verify(path: Path) -> Bundle:
    """Check a folder against its checksums. Raises BadInput naming an altered, missing or extra file."""
    if not path.is_dir():
        raise NotFound(f"There is no exported folder {path}; name the one that holds {record.SUMS_FILE}.")
    sums_path = path / record.SUMS_FILE
    if not sums_path.is_file():
        raise BadInput(f"{sums_path} is missing: this is no export, or not all of it; export it again.")
    raw = sums_path.read_bytes()
    stated = _stated(sums_path, raw)
    found = durable.checksums(path)
    found.pop(record.SUMS_FILE)
    for name in sorted(stated.keys() | found.keys()):
        if name not in found:
            raise BadInput(f"{path / name} is missing: the export is not complete; copy or export it again.")
        if name not in stated:
            raise BadInput(f"{path / name} does not belong to the export; remove it, or export again.")
        if stated[name] != found[name]:
            raise BadInput(
                f"{path / name} was altered: its checksum is not the one in {record.SUMS_FILE}; "
                "copy or export it again."
            )
    return Bundle(path=path, sha256=hashlib.sha256(raw).hexdigest(), files=stated, verified=True)


def listen(
    path: Path, *, base_model: str = "", device: str = "cpu", interpreters: Interpreters = lambda _: None
) -> Bundle:
    """`verify`, then speak the bundle's check line through plain PEFT in every form that it holds.

    `interpreters` says which one speaks a backend, None for this process. Raises BadInput when a form says something
    else than it said when it was exported. Where the backend or its base
    are not here, `Bundle.notes` says that nothing was spoken.
    """
    from engine.bundle import speaking

    bundle = verify(path)
    voice, told = _json(path / record.VOICE_FILE), _json(path / record.CHECK_FILE)
    if not told:
        return replace(bundle, notes=("It was exported without a check line, so nothing was spoken.",))
    if voice["backend"] not in backends.BACKENDS:
        return replace(bundle, notes=(f"The backend {voice['backend']} is not installed; nothing was spoken.",))
    forms = [speaking.ADAPTER, *(name for name in (record.BAKED, record.MERGED) if (path / name).is_dir())]
    for form in forms:
        try:
            found = speaking.speak(
                path,
                voice,
                told["text"],
                seed=told["seed"],
                variant=form,
                base_model=base_model,
                device=device,
                interpreter=interpreters(voice["backend"]),
            )
        except (NotFound, Refused) as error:
            return replace(bundle, notes=(f"Nothing was spoken: {error}",))
        if (found.tokens, len(found.samples)) != (told["tokens"], told["samples"]):
            raise BadInput(
                f"The {form} form in {path} says {found.tokens} tokens where {told['tokens']} were exported; "
                "its libraries differ too much from those that it was exported with."
            )
    exact = samples_sha256(found) == told["sha256"]
    said = "every sample is the same" if exact and len(forms) == 1 else "the same tokens"
    return replace(bundle, notes=(f"Spoken through plain PEFT ({', '.join(forms)}): {said}.",))


def difference(found: Speech, expected: Speech, largest: float) -> str:
    """How two speeches differ, as the end of a sentence; empty when they are the same but for rounding."""
    import numpy as np

    if found.tokens != expected.tokens or len(found.samples) != len(expected.samples):
        return f"says {found.tokens} tokens where the promoted voice says {expected.tokens}"
    apart = float(np.max(np.abs(found.samples - expected.samples))) if len(found.samples) else 0.0
    return f"sounds different (samples differ by up to {apart:.3g})" if apart > largest else ""


def samples_sha256(speech: Speech) -> str:
    """Of the samples as 16-bit integers: what a file holds."""
    import numpy as np

    whole = np.round(np.clip(speech.samples, -1.0, 1.0) * 32767).astype("<i2")
    return hashlib.sha256(whole.tobytes()).hexdigest()


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _stated(sums_path: Path, raw: bytes) -> dict[str, str]:
    stated: dict[str, str] = {}
    for number, line in enumerate(raw.decode("utf-8", errors="replace").splitlines(), start=1):
        matched = _SUM_LINE.fullmatch(line)
        if matched is None:
            raise BadInput(f"Line {number} of {sums_path} is no checksum line; the list was altered, export it again.")
        stated[matched[2]] = matched[1]
    if record.FACTS_FILE not in stated or ADAPTER_FILE not in stated:
        raise BadInput(
            f"{sums_path} does not list {record.FACTS_FILE} and {ADAPTER_FILE}; the list was altered, export it again."
        )
    return stated
