"""What was asked to be swept, on disk: a file a sweep in `sweeps/`, with how far it came, and the runs whose new
checkpoints are swept by themselves.

Knows JSON and the states of a sweep. Renders nothing: the clips are in the cache, so that a sweep which goes on later,
also in another process, renders only what is missing. The script's lines are kept whole; references by their hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine import durable, references, scripts, sweep
from engine.types import BadInput, Candidate, NotFound, Reference, Tier

AUTOMATIC = "automatic"  # folder with a file a run, and who asked where nobody did
SCALES = (0.2, 0.3, 0.35, 0.5, 1.0)


class SweepState(StrEnum):
    WAITING = "waiting"  # for its turn or its device
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def may_go_on(self) -> bool:
        """Whether a person can let it go on."""
        return self in (SweepState.PAUSED, SweepState.CANCELLED, SweepState.FAILED)


@dataclass(frozen=True, kw_only=True)
class SweepRecord:
    """One sweep. `by` is who asked for it, or "automatic"; `clips` all of them, `cached` those that lay ready when it
    was first planned, `rendered` and `screened` what it has done since; seconds are those it was at work.
    """

    id: str
    request: sweep.Request
    state: SweepState
    by: str
    run_id: str
    created_at: float
    changed_at: float
    clips: int = 0
    cached: int = 0
    rendered: int = 0
    screened: int = 0
    render_sec: float = 0.0
    screen_sec: float = 0.0
    audio_sec: float = 0.0  # of the clips that were screened
    message: str = ""
    error: str = ""

    @property
    def is_automatic(self) -> bool:
        return self.by == AUTOMATIC


@dataclass(frozen=True, kw_only=True)
class AutomaticSweep:
    """A run whose new checkpoints are swept by themselves: how, which were seen already, and what stands against it.

    Beside them are rendered the bases in `controls` and the controls that `gates` name of other models.
    """

    run_id: str
    scales: tuple[float, ...] = SCALES
    script: str = "english-brief"
    tiers: tuple[Tier, ...] | None = None
    seeds: tuple[int, ...] = (42,)
    references: tuple[str | None, ...] = (None,)  # by hash
    settings: Mapping[str, float] = field(default_factory=dict)  # those that were set
    controls: tuple[Candidate, ...] = ()
    gates: tuple[str, ...] = ()  # by name
    handled: tuple[str, ...] = ()  # checkpoint ids
    trouble: str = ""  # why the latest were not swept, or not with all that was asked for


# --------------------------------------------------------------------------------------------------------------- sweeps
def new_id(folder: Path) -> str:
    """The next free id: sweep-0001, sweep-0002, ..."""
    taken = [int(path.stem.rpartition("-")[2]) for path in folder.glob("sweep-*.json")]
    return f"sweep-{max(taken, default=0) + 1:04d}"


def write(folder: Path, record: SweepRecord) -> None:
    """Keep how a sweep stands."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {**{k: v for k, v in vars(record).items() if k != "request"}, "request": request_to_json(record.request)}
    durable.write_bytes(folder / f"{record.id}.json", json.dumps(told, indent=1, ensure_ascii=False).encode())


def read(folder: Path, sweep_id: str, prompts: Path) -> SweepRecord:
    """One sweep. `prompts` is where references are kept. Raises NotFound, BadInput for a file that is damaged."""
    path = folder / f"{sweep_id}.json"
    if Path(sweep_id).name != sweep_id or not path.is_file():
        raise NotFound(f"There is no sweep {sweep_id!r}; `sweep --list` shows those that there are.")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        request = request_from_json(told.pop("request"), prompts)
        return SweepRecord(**{**told, "request": request, "state": SweepState(told["state"])})
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged ({error}); remove it, its clips stay in the cache.") from error


def listing(folder: Path, prompts: Path) -> list[SweepRecord]:
    """All sweeps, newest first; files that cannot be read, or whose reference is gone, are left out."""
    found = []
    for path in sorted(folder.glob("sweep-*.json"), reverse=True):
        try:
            found.append(read(folder, path.stem, prompts))
        except (BadInput, NotFound):
            continue
    return found


def request_to_json(request: sweep.Request) -> dict[str, Any]:
    script = request.script
    return {
        "candidates": [asdict(candidate) for candidate in request.candidates],
        "script": {
            "name": script.name,
            "language": script.language,
            "lines": [asdict(line) for line in script.lines],
        },
        "seeds": list(request.seeds),
        "settings": dict(request.settings),
        "tiers": None if request.tiers is None else list(request.tiers),
        "references": _hashes(request.references),
        "own_references": [[asdict(each), _hashes(own)] for each, own in request.own_references.items()],
    }


def request_from_json(told: Mapping[str, Any], prompts: Path) -> sweep.Request:
    script = told["script"]
    return sweep.Request(
        candidates=tuple(Candidate(**each) for each in told["candidates"]),
        script=scripts.parse(script, name=str(script["name"]), where=str(script["name"])),
        seeds=tuple(int(seed) for seed in told["seeds"]),
        settings=dict(told["settings"]),
        tiers=None if told["tiers"] is None else tuple(Tier(tier) for tier in told["tiers"]),
        references=_loaded(told["references"], prompts),
        own_references={  # sweeps of before have none
            Candidate(**each): _loaded(own, prompts) for each, own in told.get("own_references", [])
        },
    )


def _hashes(given: Sequence[Reference | None]) -> list[str | None]:
    return [None if each is None else each.sha256 for each in given]


def _loaded(keys: Sequence[str | None], prompts: Path) -> tuple[Reference | None, ...]:
    return tuple(None if key is None else references.load(prompts, str(key)).reference for key in keys)


# ------------------------------------------------------------------------------------------------------------ automatic
def keep_automatic(folder: Path, setting: AutomaticSweep) -> None:
    """Let a run's new checkpoints be swept from now on."""
    (folder / AUTOMATIC).mkdir(parents=True, exist_ok=True)
    durable.write_bytes(folder / AUTOMATIC / f"{setting.run_id}.json", json.dumps(asdict(setting), indent=1).encode())


def drop_automatic(folder: Path, run_id: str) -> None:
    """Sweep a run's new checkpoints no more; what was begun goes on."""
    (folder / AUTOMATIC / f"{run_id}.json").unlink(missing_ok=True)


def automatic(folder: Path) -> list[AutomaticSweep]:
    """The runs whose new checkpoints are swept; files that cannot be read are left out."""
    found = []
    for path in sorted((folder / AUTOMATIC).glob("*.json")):
        try:
            found.append(_automatic(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def with_handled(setting: AutomaticSweep, checkpoint_ids: tuple[str, ...]) -> AutomaticSweep:
    return replace(setting, handled=tuple(dict.fromkeys((*setting.handled, *checkpoint_ids))))


def _automatic(told: Mapping[str, Any]) -> AutomaticSweep:
    return AutomaticSweep(
        run_id=str(told["run_id"]),
        scales=tuple(float(scale) for scale in told["scales"]),
        script=str(told["script"]),
        tiers=None if told["tiers"] is None else tuple(Tier(tier) for tier in told["tiers"]),
        seeds=tuple(int(seed) for seed in told["seeds"]),
        references=tuple(told["references"]),
        settings=dict(told["settings"]),
        controls=tuple(Candidate(**each) for each in told.get("controls", ())),  # settings of before have none
        gates=tuple(told.get("gates", ())),
        handled=tuple(told["handled"]),
        trouble=str(told.get("trouble", "")),
    )
