"""Use cases about base models: which are set up here and what each can do, and fetching one from the hub.

Nothing is loaded, and nothing is downloaded unless a person asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engine import backends, disk, needs
from engine.backends import folders, hub
from engine.studio.core import Core
from engine.types import BadInput, BaseModel, EngineError, Fetched, NotFound


class Models(Core):
    """What can be fine-tuned, before a run names it."""

    def models(self) -> tuple[BaseModel, ...]:
        """All models that can be trained here, the usable ones first, each with what it can do or what it lacks."""
        found = [_described(name) for name in backends.INFO]
        return tuple(sorted(found, key=lambda model: (bool(model.lacks), bool(model.variable), model.name)))

    def fetch_model(self, name: str, *, tell: Callable[[str], None] = lambda _: None) -> Fetched:
        """Download a model of the hub into this machine's cache, with the audio tokenizer that it names, as far as the
        cache lacks them. `tell` is told what is about to be downloaded.

        Raises BadInput for what is no name of the hub's, NotFound where the hub has no such model or cannot be reached,
        Refused for one whose licence was not accepted, DiskFull where it does not fit.
        """
        if not hub.is_name(name):
            raise BadInput(
                f"{name!r} is no name of a model on the hub; it is written owner/name or owner/name@revision."
            )
        model, size = _fetched(name, tell)
        beside = folders.companion(model.path)
        if hub.is_name(beside) and not (model.path / beside).is_dir():
            size += _fetched(beside, tell)[1]
        variables = {kind: variable for kind, variable in backends.FOLDERS.items() if _can_use(kind, model.pinned)}
        return Fetched(pinned=model.pinned, path=model.path, downloaded_bytes=size, variables=variables)


def _described(name: str) -> BaseModel:
    variable = backends.FOLDERS.get(name, "")
    named = os.environ.get(variable, "") if variable else ""
    licence = backends.LICENCES.get(name, "")
    known = next((need for need in needs.ELSEWHERE if need.name == name), None)
    try:
        info = backends.info(name)
    except EngineError as error:
        title = known.title if known else name
        return BaseModel(name=name, title=title, variable=variable, weights=named, lacks=str(error), licence=licence)
    return BaseModel(
        name=name,
        title=info.title,
        variable=variable,
        weights=backends.pinned(name) or named,
        version=info.version,
        sample_rate=info.sample_rate,
        parts=info.parts,
        voices=info.voices,
        languages=info.languages,
        reference=info.reference,
        mixes_rows=info.mixes_rows,
        full_sft=info.full_sft,
        licence=licence,
    )


def _fetched(name: str, tell: Callable[[str], None]) -> tuple[hub.Snapshot, int]:
    found = hub.find(name)
    size = hub.missing_bytes(name)
    if size:
        place = _existing(found.path if found else hub.cache())
        disk.must_fit(place, size, free=disk.free_bytes(place), what=name)
        tell(f"Downloading {name}: {size / 1e9:.2f} GB.")
    return hub.fetch(name), size


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _can_use(kind: str, pinned: str) -> bool:
    try:
        backends.info(kind, pinned)
    except (BadInput, NotFound):
        return False
    return True
