"""What the curves of a run mean: a fold over its events that says when something should be marked. Pure.

Knows each monitor's rule and its sentence. Trainer and readers fold the same events, so they agree. A monitor speaks
once an episode: it is silent from its alert until what it saw is over. It marks; whether the run ends is the config's
word, and nothing is ever deleted. Knows no files and no model; what an unloaded model's loss would be, the start event
says.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from engine.types import Alert, Event, RunConfig

# A gradient norm this many times its running median is far above it; the episode is over below half of that.
GRADIENT_FACTOR = 10.0
GRADIENT_HISTORY, GRADIENT_WINDOW = 20, 100  # steps before it judges, steps of the median
NEW_BEST = 0.01  # a best validation loss lower by this share ends an episode of rising: noise on a plateau does not
UNLOADED_SHARE = 0.9  # of the loss of a model without weights
# Speech that became this much faster or slower than at the first checkpoint, all in one direction, drifts.
RATE_CHANGE, RATE_CHECKPOINTS = 0.15, 3
ONE_RESTS, ALL_REST = "part_rests", "all_parts_rest"
UNLOADED = "unloaded_weights"
CAPPED_SHARE = 0.5  # of the lines that were spoken at a checkpoint


@dataclass(frozen=True)
class Validated:
    """One validation: its loss, the first part's loss, and the first part's mean train loss since the one before."""

    step: int
    loss: float
    first_part: float
    train: float | None
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Spoken:
    """What the trainer heard at a checkpoint: seconds a character, and the share of lines that did not end."""

    step: int
    seconds_per_character: float
    capped_share: float


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What the monitors remember of a run. `new` are the alerts that the last event called for.

    `open` holds the episodes that go on: a monitor and the step of its alert. `closed` holds the others, with the step
    that ended them: a resume may go back into one.
    """

    patience: int = 3
    part_patience: int = 0
    train_loss_floor: float = 0.0
    stop_when: tuple[str, ...] = ()
    validations: tuple[Validated, ...] = ()
    spoken: tuple[Spoken, ...] = ()
    norms: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    first_part_losses: tuple[tuple[int, float], ...] = ()  # since the last validation
    unloaded: Mapping[str, float] = field(default_factory=dict)
    open: Mapping[str, int] = field(default_factory=dict)
    closed: tuple[tuple[str, int, int], ...] = ()
    new: tuple[Alert, ...] = ()


def watch(config: RunConfig) -> Watch:
    """The monitors of a run before its first event."""
    return Watch(
        patience=config.patience,
        part_patience=config.part_patience,
        train_loss_floor=config.train_loss_floor,
        stop_when=config.stop_when,
    )


def resting(now: Watch) -> frozenset[str]:
    """The parts that are taught no further: each one's own validation loss has been above its best for long enough.

    What rests does not change any more, nor does its loss, so that it rests for good.
    """
    found = set()
    for part in now.validations[-1].parts if now.part_patience and now.validations else ():
        best = min(now.validations, key=lambda v: v.parts[part])
        if sum(v.step > best.step for v in now.validations) >= now.part_patience:
            found.add(part)
    return frozenset(found)


def fold(before: Watch, event: Event) -> Watch:
    """What is remembered after one more event, with the alerts that it calls for in `new`."""
    judge = _JUDGES.get(event.kind)
    if judge is None:
        return replace(before, new=())
    after, found = judge(replace(before, new=()), event.data)
    now_open, closed = dict(after.open), list(after.closed)
    alerts = []
    for monitor, text in found.items():
        if text is None:
            if monitor in now_open:
                closed.append((monitor, now_open.pop(monitor), int(event.data.get("step", 0))))
        elif monitor not in now_open:
            alerts.append(_alert(before, monitor, event.data, text))
            now_open[monitor] = alerts[-1].step
    return replace(after, open=now_open, closed=tuple(closed), new=tuple(alerts))


def follow(before: Watch, events: Iterable[Event]) -> Watch:
    """What is remembered after several events; their alerts were told already."""
    for event in events:
        before = fold(before, event)
    return replace(before, new=())


def not_a_number(step: int, epoch: int, what: str) -> Alert:
    """For a step that was not applied because its loss or gradient is no number. No event of it could be told."""
    text = f"{what} is not a number at step {step}: the step was not applied; lower the learning rate in a new run."
    return Alert(step=step, epoch=epoch, monitor="not_a_number", text=text, stops=True)


def disk(step: int, epoch: int, needed_bytes: int) -> Alert:
    """For a run that waits for room."""
    text = f"Less than {needed_bytes / 1e6:.0f} MB are free on the disk: the run is paused; make room and it goes on."
    return Alert(step=step, epoch=epoch, monitor="disk", text=text)


def unloaded(without_weights: Mapping[str, float], losses: Mapping[str, float]) -> str | None:
    """What to say of a base that starts where one without its weights would, part by part; None where it does not."""
    for part, loss in without_weights.items():
        if part in losses and losses[part] >= UNLOADED_SHARE * loss:
            return (
                f"The first loss of {part} is {losses[part]:.2f}, and a model without its weights would have "
                f"{loss:.2f}: the base's weights were probably not loaded; check Base weights."
            )
    return None


def _alert(watched: Watch, monitor: str, data: Mapping[str, Any], text: str) -> Alert:
    return Alert(
        step=int(data.get("step", 0)),
        epoch=int(data.get("epoch", 0)),
        monitor=monitor,
        text=text,
        stops=monitor in watched.stop_when or monitor == ALL_REST,
    )


# --------------------------------------------------------------------------------------------------------------- events
# Each gives what is remembered now and, for every monitor that looked, its sentence or None where all is well.
_Found = dict[str, str | None]


def _started(before: Watch, data: Mapping[str, Any]) -> tuple[Watch, _Found]:
    """A resume goes back to its checkpoint: what came after it will happen again. At step 0 all begins anew."""
    step = int(data["step"])

    def stays(at: int) -> bool:
        return 0 < step >= at

    return (
        replace(
            before,
            validations=tuple(v for v in before.validations if stays(v.step)),
            spoken=tuple(s for s in before.spoken if stays(s.step)),
            norms={part: tuple(n for n in norms if stays(n[0])) for part, norms in before.norms.items()},
            first_part_losses=tuple(one for one in before.first_part_losses if stays(one[0])),
            open=_open_at(before, step),
            closed=tuple(one for one in before.closed if stays(one[2])),
            unloaded=dict(data.get("unloaded_loss", {})),
        ),
        {},
    )


def _open_at(before: Watch, step: int) -> dict[str, int]:
    """The episodes that went on at a step, also those that ended after it."""
    found = {monitor: begun for monitor, begun, ended in before.closed if step > 0 and begun <= step < ended}
    return found | {monitor: at for monitor, at in before.open.items() if 0 < step >= at}


def _stepped(before: Watch, data: Mapping[str, Any]) -> tuple[Watch, _Found]:
    step, parts = int(data["step"]), dict(data.get("parts", {}))
    found: _Found = dict(_gradients(before, step, data.get("grad_norm", {})))
    if step == 1:
        found |= _unloaded(before, parts)
    norms = {
        part: (*before.norms.get(part, ()), (step, float(norm)))[-GRADIENT_WINDOW:]
        for part, norm in dict(data.get("grad_norm", {})).items()
    }
    losses = before.first_part_losses
    if parts:
        losses = (*losses, (step, float(next(iter(parts.values())))))
    return replace(before, norms=norms, first_part_losses=losses), found


def _validated(before: Watch, data: Mapping[str, Any]) -> tuple[Watch, _Found]:
    parts = dict(data.get("parts", {}))
    losses = [loss for _, loss in before.first_part_losses]
    one = Validated(
        step=int(data["step"]),
        loss=float(data["loss"]),
        first_part=float(next(iter(parts.values()), data["loss"])),
        train=statistics.fmean(losses) if losses else None,
        parts=parts,
    )
    after = replace(before, validations=(*before.validations, one), first_part_losses=())
    found: _Found = {"validation_rising": _rising(after), "talks_to_itself": _talks_to_itself(after)}
    found |= _rests(after)
    if one.step == 0:
        found |= _unloaded(before, parts)
    return after, found


def _saved(before: Watch, data: Mapping[str, Any]) -> tuple[Watch, _Found]:
    heard = data.get("speech")
    if not heard:
        return before, {}
    one = Spoken(int(data["step"]), float(heard["seconds_per_character"]), float(heard["capped_share"]))
    after = replace(before, spoken=(*before.spoken, one))
    return after, {"drift": _drift(after)}


def _alerted(before: Watch, data: Mapping[str, Any]) -> tuple[Watch, _Found]:
    """Told already, also in an earlier life: its episode goes on until its monitor sees the end of it."""
    monitor = str(data["monitor"])
    if monitor in before.open or monitor not in _LASTING:
        return before, {}
    return replace(before, open={**before.open, monitor: int(data["step"])}), {}


_JUDGES: Mapping[str, Callable[[Watch, Mapping[str, Any]], tuple[Watch, _Found]]] = {
    "start": _started,
    "step": _stepped,
    "validation": _validated,
    "checkpoint": _saved,
    "alert": _alerted,
}
_LASTING = frozenset({"validation_rising", "gradient_norm", "talks_to_itself", UNLOADED, "drift", ONE_RESTS, ALL_REST})


# ------------------------------------------------------------------------------------------------------------- monitors
def _rising(now: Watch) -> str | None:
    best = min(now.validations, key=lambda v: v.loss)
    worse = sum(v.step > best.step for v in now.validations)
    marked_at = now.open.get("validation_rising")
    if marked_at is None:
        is_rising = worse >= now.patience
    else:
        is_rising = best.loss > (1 - NEW_BEST) * min(v.loss for v in now.validations if v.step <= marked_at)
    if not is_rising:
        return None
    return (
        f"The validation loss has been above its best ({best.loss:.3f} at step {best.step}) for {worse} validations: "
        f"the run is past its best region; listen to the checkpoints around step {best.step} before training on."
    )


def _rests(now: Watch) -> _Found:
    found = resting(now)
    names, are_all = ", ".join(sorted(found)), len(found) == len(now.validations[-1].parts)
    text = f"{names}: its own validation loss has not been better for {now.part_patience} validations; it rests."
    return {
        ONE_RESTS: text if found else None,
        ALL_REST: "Every part rests: there is nothing left to teach, and the run ends." if found and are_all else None,
    }


def _talks_to_itself(now: Watch) -> str | None:
    """A train loss that low while validation rises: the model continues its own tokens, whatever the text says."""
    last = now.validations[-1]
    best = min(v.first_part for v in now.validations)
    if not now.train_loss_floor or last.train is None:
        return None
    if last.train >= now.train_loss_floor or last.first_part <= best:
        return None
    return (
        f"The train loss ({last.train:.3f}) is under the floor of {now.train_loss_floor:g} while validation rises "
        f"({last.first_part:.3f}, best {best:.3f}): the model begins to talk to itself; prefer earlier checkpoints."
    )


def _gradients(before: Watch, step: int, norms: Mapping[str, float]) -> Iterator[tuple[str, str | None]]:
    worst: tuple[float, str, float, float] | None = None
    for part, norm in norms.items():
        known = [one for _, one in before.norms.get(part, ())]
        if len(known) >= GRADIENT_HISTORY and (median := statistics.median(known)) > 0:
            worst = max(worst or (0.0, "", 0.0, 0.0), (norm / median, part, float(norm), median))
    if worst is None:
        return
    ratio, part, norm, median = worst
    if ratio >= GRADIENT_FACTOR:
        yield (
            "gradient_norm",
            f"The gradient norm of {part} is {norm:.3g} at step {step}, {ratio:.0f} times its running median "
            f"({median:.3g}): look at the rows of this batch, or lower the learning rate.",
        )
    elif ratio < GRADIENT_FACTOR / 2:
        yield "gradient_norm", None


def _unloaded(before: Watch, losses: Mapping[str, float]) -> _Found:
    doubt = unloaded(before.unloaded, losses)
    return {UNLOADED: doubt} if doubt else {}


def _drift(now: Watch) -> str | None:
    first, last = now.spoken[0], now.spoken[-1]
    if last.capped_share >= CAPPED_SHARE and last.capped_share > first.capped_share:
        return (
            f"{last.capped_share:.0%} of the lines spoken at step {last.step} did not end by themselves "
            f"({first.capped_share:.0%} at step {first.step}): the end of speech is being unlearned; listen to earlier "
            "checkpoints."
        )
    recent = [one.seconds_per_character for one in now.spoken[-RATE_CHECKPOINTS:]]
    steps = [b - a for a, b in pairwise(recent)]
    change = last.seconds_per_character / first.seconds_per_character - 1 if first.seconds_per_character else 0.0
    is_one_way = all(s > 0 for s in steps) or all(s < 0 for s in steps)
    if len(recent) < RATE_CHECKPOINTS or not is_one_way or abs(change) < RATE_CHANGE:
        return None
    return (
        f"Speech is {abs(change):.0%} {'slower' if change > 0 else 'faster'} than at step {first.step} and goes on so "
        "from checkpoint to checkpoint: labels may be shifted twice; compare the pace of the checkpoints by ear."
    )
