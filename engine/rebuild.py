"""Makes the database again from what lies on the disk: judgements from their journal, clips from the cache.

Knows how a clip is recognised by what it was rendered from. Changes no judgement and removes no file: a database that
cannot be read is set aside under another name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import checkpoints, clip_cache, locks, references, runs, scripts, sweep
from engine.store import Store, database
from engine.types import Adapter, BadInput, Candidate, Clip, GenerationSettings, Line
from engine.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What was found. `unknown_clips` are on the disk and belong to no checkpoint or script of this workspace."""

    set_aside: Path | None
    judgements: int
    runs: int
    checkpoints: int
    damaged_checkpoints: tuple[str, ...]
    clips: int
    new_clips: int
    unknown_clips: int


def rebuild(workspace: Workspace, *, clock: Callable[[], float] = time.time) -> Rebuilt:
    """Bring the database up to what the disk knows. Raises Busy while an app holds the workspace."""
    workspace.create()
    with locks.hold(workspace.lock, what="a rebuild"):
        aside = _set_aside(workspace.database, clock())
        with Store(workspace.database, clock=clock) as store:
            before = {clip.path.stem for clip in store.clips()}
            facts = list(clip_cache.listing(workspace.clips))
            # A clip that is known belongs to who asked for it: another run with equal weights did not.
            new = list(_clips(workspace, [each for each in facts if each["key"] not in before]))
            store.add_clips(new)
            known = {clip.path.stem for clip in store.clips()}
            return Rebuilt(
                set_aside=aside,
                judgements=store.restored,
                runs=len(runs.listing(workspace.runs)),
                checkpoints=sum(1 for _ in _checkpoints(workspace)),
                damaged_checkpoints=tuple(_damaged(workspace)),
                clips=len(facts),
                new_clips=len(new),
                unknown_clips=sum(each["key"] not in known for each in facts),
            )


def _set_aside(path: Path, now: float) -> Path | None:
    """Rename a database that cannot be opened, with its write-ahead log; the name says when."""
    if not path.exists():
        return None
    try:
        database.connect(str(path)).close()
    except BadInput:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        aside = path.with_name(f"{path.name}.damaged-{stamp}")
        path.rename(aside)
        log = path.with_name(f"{path.name}.wal")
        if log.exists():
            log.rename(log.with_name(f"{log.name}.damaged-{stamp}"))
        return aside
    return None


def _checkpoints(workspace: Workspace) -> Iterator[tuple[str, Adapter]]:
    for run in runs.listing(workspace.runs):
        for checkpoint in checkpoints.listing(run.path):
            yield checkpoint.id, checkpoint.adapter


def _damaged(workspace: Workspace) -> Iterator[str]:
    """A sentence for each checkpoint whose bytes are not those that were published."""
    for run in runs.listing(workspace.runs):
        for path in sorted((run.path / "checkpoints").glob("step_*")):
            try:
                checkpoints.verify(path)
            except BadInput as error:
                yield str(error)


# --------------------------------------------------------------------------------------------------------------- clips
def _clips(workspace: Workspace, facts: list[dict[str, Any]]) -> Iterator[Clip]:
    """A clip for every checkpoint with the adapter that it was rendered with, of the first script with such a line."""
    adapters: dict[str, list[tuple[str, Adapter]]] = {}
    for checkpoint_id, adapter in _checkpoints(workspace):
        adapters.setdefault(adapter.sha256, []).append((checkpoint_id, adapter))
    lines: dict[str, tuple[str, Line]] = {}
    shipped = [scripts.load(name) for name in scripts.names()]
    for script in (*shipped, *scripts.versions(workspace.scripts)):
        for line in script.lines:
            lines.setdefault(line.text, (script.sha256, line))
    prompts = {each.reference.sha256: each.reference for each in references.listing(workspace.references)}
    for each in facts:
        recipe = each["recipe"]
        prompt = recipe.get("reference_sha256")
        if recipe["text"] not in lines or (prompt is not None and prompt not in prompts):
            continue
        script_sha256, line = lines[recipe["text"]]
        for candidate, known in _candidates(recipe, adapters):
            job = sweep.Job(
                key=each["key"],
                recipe=recipe,
                candidate=candidate,
                adapter=known,
                line=line,
                script_sha256=script_sha256,
                seed=int(recipe["seed"]),
                settings=GenerationSettings(**recipe["settings"]),
                rows=(),
                language=str(recipe.get("language", "en")),
                reference=prompts.get(prompt),
            )
            yield sweep.clip_of(job, workspace.clips, each)


def _candidates(
    recipe: Mapping[str, Any], adapters: Mapping[str, list[tuple[str, Adapter]]]
) -> Iterator[tuple[Candidate, Adapter | None]]:
    backend, voice = str(recipe["backend"]), str(recipe["voice"])
    if recipe["adapter_sha256"] is None:
        yield Candidate(backend=backend, voice=voice), None
        return
    for checkpoint_id, adapter in adapters.get(recipe["adapter_sha256"], []):
        scale = float(recipe["lora_scale"])
        yield Candidate(backend=backend, voice=voice, checkpoint_id=checkpoint_id, lora_scale=scale), adapter
