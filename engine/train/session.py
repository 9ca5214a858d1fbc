"""What one training works on: the model with its trained parts, the examples, and the plan. Built once, then only read.

Knows how a run's record becomes a session and where a resumed run goes on. Knows no loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import backends, checkpoints, dataset, run_config, speaking_settings
from engine.backends import offers
from engine.device import Card
from engine.runs.folder import RunFolder
from engine.train import batches, features, parts, recompute, seeds, state_files
from engine.train.control import Control
from engine.train.faults import Where
from engine.train.journal import Voice
from engine.train.listening import Ear
from engine.train.state_files import TrainState
from engine.train.trained_part import TrainedPart
from engine.train.world import World
from engine.types import BadInput, Checkpoint, Dataset, Refused, RunConfig
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine.backends.speech_model import SpeechModel

TEST = "test"  # rows that no training may see
ResumePoint = tuple[Checkpoint, Path]  # and the folder with the trainer's state


@dataclass(frozen=True, kw_only=True)
class Session:
    """`train` and `validation` are the model's own examples; `lengths` are tokens of the training ones.

    `weights` and `validation_weights` are the tokens that an example's loss is a mean over.
    """

    folder: RunFolder
    config: RunConfig
    model: SpeechModel
    voice: str
    parts: Sequence[TrainedPart]
    train: Sequence[Any]
    validation: Sequence[Any]
    lengths: Sequence[int]
    weights: Sequence[int]
    validation_lengths: Sequence[int]
    validation_weights: Sequence[int]
    voice_settings: Mapping[str, float]
    unloaded_loss: Mapping[str, float]
    total_steps: int
    journal: Voice
    control: Control
    world: World
    where: Where
    ear: Ear

    @property
    def part_names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        """The parts whose gradients are computed at once: all of them, or one after the other."""
        return tuple((name,) for name in self.part_names) if self.config.one_part_at_a_time else (self.part_names,)

    @property
    def loss_names(self) -> tuple[str, ...]:
        return offers.loss_names(self.model, self.part_names)

    def precision(self) -> AbstractContextManager[Any]:
        """The arithmetic that the config asks for, around what the model does by itself."""
        if self.config.precision != "bf16":
            return nullcontext()
        import torch

        # Its cache keeps a 16-bit copy of every trained matrix until the forward pass is over, half of the weights
        # again: of no use where a layer's activations are not kept either. Losses and gradients stay the same.
        keeps = not self.config.gradient_checkpointing
        return torch.autocast(torch.device(self.model.device).type, torch.bfloat16, cache_enabled=keeps)


def prepare(
    folder: RunFolder,
    record: Mapping[str, Any],
    *,
    journal: Voice,
    control: Control,
    world: World,
    where: Where,
) -> tuple[Session, TrainState]:
    """Load the model, extract the features, make the parts trainable, go to where the newest checkpoint was."""
    config = run_config.from_json(record["config"])
    source = _dataset(folder, record)
    rows = [row for row in dataset.utterances(source) if row.split != TEST]
    device = _device(config, world)
    must_be_computable(config, device)
    model = backends.load(config.backend, config.base_model, device)
    if config.one_part_at_a_time:
        _keep_one_part(model, world)
    point = world.told(_resume_point(folder, model, journal) if world.rank == 0 else None)
    seeds.set_generators(seeds.derive(config.seed, "features"))
    voice = world.told(_voice(model, config, point, rows) if world.rank == 0 else None)
    cache = Workspace(folder.path.parent.parent).features / model.name
    if world.rank == 0:
        features.extract(model, rows, voice, cache, journal, control)
    world.gather()
    train, validation, texts = features.examples(model, rows, voice, cache)
    lengths = [model.length(example) for example in train]
    session = Session(
        folder=folder,
        config=config,
        model=model,
        voice=voice,
        parts=parts.attach(model, config),
        train=train,
        validation=validation,
        lengths=lengths,
        weights=_weights(model, train),
        validation_lengths=[model.length(example) for example in validation],
        validation_weights=_weights(model, validation),
        voice_settings=model.voice_settings(train, voice),
        unloaded_loss=_unloaded_loss(model, config, train),
        total_steps=batches.total_steps(lengths, config),
        journal=journal,
        control=control,
        world=world,
        where=where,
        ear=Ear(texts, speaking_settings.usual(backends.info(config.backend, config.base_model))),
    )
    if config.gradient_checkpointing:
        recompute.recompute(model, session.part_names)
    return session, _restored(session, point)


def _keep_one_part(model: SpeechModel, world: World) -> None:
    if world.size > 1:
        raise BadInput("One part at a time is for a single small card; turn it off for several.")
    if not isinstance(model, offers.KeepsOnePart):
        raise BadInput(f"The parts of {model.name} are taught together; turn One part at a time off.")
    model.keep_one_part()


def _unloaded_loss(model: SpeechModel, config: RunConfig, train: Sequence[Any]) -> Mapping[str, float]:
    """Where a model without its weights would start on these examples, or on any where the model cannot say."""
    known = dict(backends.info(config.backend, config.base_model).unloaded_loss)
    return {**known, **model.unloaded_loss(train)} if isinstance(model, offers.KnowsUnloaded) and train else known


def epoch_batches(session: Session, epoch: int) -> list[batches.Batch]:
    """The batches of an epoch (1-based), as indices into `session.train`."""
    config = session.config
    return batches.epoch_batches(session.lengths, batch_tokens=config.batch_tokens, seed=config.seed, epoch=epoch)


# --------------------------------------------------------------------------------------------------------------- pieces
def _dataset(folder: RunFolder, record: Mapping[str, Any]) -> Dataset:
    told = record["dataset"]
    found = dataset.load((folder.path / told["path"]).resolve())
    if found.manifest_sha256 != told["manifest_sha256"]:
        raise Refused(f"Dataset {found.id} is not the one that this run was created with; start a new run with it.")
    return found


def _weights(model: SpeechModel, examples: Sequence[Any]) -> list[int]:
    if isinstance(model, offers.CountsLossTokens):
        return [model.loss_tokens(example) for example in examples]
    return [model.length(example) for example in examples]


def _voice(model: SpeechModel, config: RunConfig, point: ResumePoint | None, rows: Sequence[Any]) -> str:
    return point[0].adapter.voice if point else config.voice or model.closest_voice(rows)


def must_be_computable(config: RunConfig, name: str, properties: Callable[[str], Any] | None = None) -> None:
    """Raises Refused for bf16 on a card that has none of its own. `properties` are torch's of a device by its name;
    those of `torch.cuda` where none are given.
    """
    if config.precision != "bf16" or not name.startswith("cuda"):
        return
    import torch

    told = (properties or torch.cuda.get_device_properties)(name)
    card = Card(name=told.name, major=told.major, minor=told.minor, is_amd=bool(torch.version.hip))
    if not card.has_bf16:
        raise Refused(card.without_bf16)


def _device(config: RunConfig, world: World) -> str:
    """`auto` is the first GPU when there is one; of several processes each has its own."""
    if world.size == 1 and config.device != "auto":
        return config.device
    import torch

    cards = 0 if config.device == "cpu" else torch.cuda.device_count()
    if not cards:
        return "cpu"
    if cards < world.size:
        raise BadInput(
            f"This run wants {world.size} processes and the machine has {cards} CUDA cards; start it with fewer."
        )
    return f"cuda:{world.rank}"


# --------------------------------------------------------------------------------------------------------------- resume
def _resume_point(folder: RunFolder, model: SpeechModel, journal: Voice) -> ResumePoint | None:
    """The newest checkpoint whose bytes, and those of its state, are all as they were written.

    Raises Refused when the base is another one now, or when there are checkpoints and none of them can be gone on from.
    """
    found = checkpoints.listing(folder.path)
    for checkpoint in reversed(found):
        if checkpoint.adapter.base_sha256 != model.base_sha256:
            raise Refused(
                f"{checkpoint.id} was trained on base {checkpoint.adapter.base_sha256[:12]} and {model.name} is "
                f"{model.base_sha256[:12]} now; start a new run, or install the version that trained it."
            )
        if state := _state_of(checkpoint, journal):
            return checkpoint, state
    if left := checkpoints.listing(folder.path):
        raise Refused(
            f"None of the {len(left)} checkpoints of {folder.path.name} has its trainer's state any more, so the run "
            "cannot go on; they can be listened to, and a new run can be started."
        )
    return None


def _state_of(checkpoint: Checkpoint, journal: Voice) -> Path | None:
    """The folder with its state when both are whole. What is damaged is set aside with a note."""
    try:
        state = state_files.of(checkpoint)
    except BadInput as error:
        damaged = state_files.path_of(checkpoint.path.parent.parent, checkpoint.step)
        aside = checkpoints.set_aside(damaged)
        journal.say("note", text=f"{error} It is kept as {aside.name}; going on from the checkpoint before.")
        return None
    try:
        checkpoints.verify(checkpoint.path)
    except BadInput as error:
        aside = checkpoints.set_aside(checkpoint.path)
        journal.say("note", text=f"{error} It is kept as {aside.name}; going on from the one before.")
        return None
    if state is None:
        kept = state_files.KEPT
        text = f"{checkpoint.id} has no trainer's state (kept for the last {kept}); going on from the one before."
        journal.say("note", text=text)
    return state


def _restored(session: Session, point: ResumePoint | None) -> TrainState:
    if point is None:
        return TrainState()
    checkpoint, state = point
    for part in session.parts:
        part.load(checkpoint.path)
    return state_files.read(state, session.parts)
