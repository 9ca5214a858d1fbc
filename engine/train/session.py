"""What one training works on: the model with its adapted parts, the examples, and the plan. Built once, then only read.

Knows how a run's record becomes a session and where a resumed run goes on. Knows no loop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import backends, checkpoints, dataset, run_config, splitting
from engine.run_folder import RunFolder
from engine.train import batches, lora, seeds, state_files
from engine.train.control import Control
from engine.train.journal import Journal
from engine.train.lora import TrainedPart
from engine.train.state_files import TrainState
from engine.types import BadInput, Checkpoint, Dataset, Refused, RunConfig, Utterance
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine.backends import SpeechModel

CLIPS_A_LOOK = 8  # clips whose features are extracted between two looks at the stop flag


@dataclass(frozen=True, kw_only=True)
class Session:
    """`train` and `validation` are the model's own examples; `lengths` are tokens of the training ones."""

    folder: RunFolder
    config: RunConfig
    model: SpeechModel
    voice: str
    parts: Sequence[TrainedPart]
    train: Sequence[Any]
    validation: Sequence[Any]
    lengths: Sequence[int]
    validation_lengths: Sequence[int]
    voice_settings: Mapping[str, float]
    total_steps: int
    journal: Journal
    control: Control

    @property
    def part_names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)


def prepare(
    folder: RunFolder, record: Mapping[str, Any], journal: Journal, control: Control
) -> tuple[Session, TrainState]:
    """Load the model, extract the features, attach the adapters, go to where the newest checkpoint was."""
    config = run_config.from_json(record["config"])
    source = _dataset(folder, record)
    rows = dataset.utterances(source)
    model = backends.load(config.backend, config.base_model, _device(config.device))
    resume_point = _resume_point(folder, model, journal)
    seeds.set_generators(seeds.derive(config.seed, "features"))
    voice = resume_point.adapter.voice if resume_point else config.voice or model.closest_voice(rows)
    train, validation = _examples(model, rows, voice, folder, journal, control)
    lengths = [model.length(example) for example in train]
    session = Session(
        folder=folder,
        config=config,
        model=model,
        voice=voice,
        parts=lora.attach(model, config),
        train=train,
        validation=validation,
        lengths=lengths,
        validation_lengths=[model.length(example) for example in validation],
        voice_settings=model.voice_settings(train, voice),
        total_steps=batches.total_steps(
            lengths, batch_tokens=config.batch_tokens, seed=config.seed, epochs=config.epochs
        ),
        journal=journal,
        control=control,
    )
    return session, _restored(session, resume_point)


def epoch_batches(session: Session, epoch: int) -> list[batches.Batch]:
    """The batches of an epoch (1-based), as indices into `session.train`."""
    config = session.config
    return batches.epoch_batches(session.lengths, batch_tokens=config.batch_tokens, seed=config.seed, epoch=epoch)


def parameter_count(session: Session) -> int:
    """Trained numbers in all parts."""
    return sum(math.prod(p.shape) for part in session.parts for p in part.parameters.values())


# ----------------------------------------------------------------------------------------------------------------- data
def _dataset(folder: RunFolder, record: Mapping[str, Any]) -> Dataset:
    told = record["dataset"]
    found = dataset.load((folder.path / told["path"]).resolve())
    if found.manifest_sha256 != told["manifest_sha256"]:
        raise Refused(f"Dataset {found.id} is not the one that this run was created with; start a new run with it.")
    return found


def _examples(
    model: SpeechModel, rows: Sequence[Utterance], voice: str, folder: RunFolder, journal: Journal, control: Control
) -> tuple[list[Any], list[Any]]:
    """Features of all rows, a few clips at a time: extraction may take long, so it tells its progress and can stop."""
    cache = Workspace(folder.path.parent.parent).features / model.name
    cache.mkdir(parents=True, exist_ok=True)
    for begin in range(0, len(rows), CLIPS_A_LOOK):
        control.raise_if_stopped()
        control.wait_for_room()
        journal.say("note", text=f"Reading clip {begin + 1} of {len(rows)}")
        model.features(rows[begin : begin + CLIPS_A_LOOK], voice, cache)
    # Once more over all, from the cache: a backend may need a speaker's clips together (for their mean pitch, say).
    examples = model.features(rows, voice, cache)
    train = [example for row, example in zip(rows, examples, strict=True) if row.split != splitting.VALIDATION]
    validation = [example for row, example in zip(rows, examples, strict=True) if row.split == splitting.VALIDATION]
    if not train:
        raise BadInput("No row of the dataset is for training; mark some and prepare it again.")
    return train, validation


def _device(name: str) -> str:
    """`auto` is the first GPU when there is one."""
    if name != "auto":
        return name
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


# --------------------------------------------------------------------------------------------------------------- resume
def _resume_point(folder: RunFolder, model: SpeechModel, journal: Journal) -> Checkpoint | None:
    """The newest checkpoint whose bytes are all as they were written.

    Raises Refused when the base is another one now.
    """
    for checkpoint in reversed(checkpoints.listing(folder.path)):
        if checkpoint.adapter.base_sha256 != model.base_sha256:
            raise Refused(
                f"{checkpoint.id} was trained on base {checkpoint.adapter.base_sha256[:12]} and {model.name} is "
                f"{model.base_sha256[:12]} now; start a new run, or install the version that trained it."
            )
        try:
            checkpoints.verify(checkpoint.path)
        except BadInput as error:
            aside = checkpoints.set_aside(checkpoint.path)
            journal.say("note", text=f"{error} It is kept as {aside.name}; going on from the one before.")
            continue
        return checkpoint
    return None


def _restored(session: Session, point: Checkpoint | None) -> TrainState:
    if point is None:
        return TrainState()
    for part in session.parts:
        lora.load(part, point.path)
    return state_files.read(point.path, session.parts)
