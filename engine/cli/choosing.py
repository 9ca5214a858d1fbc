"""How candidates, voices and settings are named on the command line. Knows flags and the studio's lists."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from argparse import _MutuallyExclusiveGroup as _Which
from pathlib import Path
from typing import TYPE_CHECKING

from engine.speaking_settings import SETTINGS
from engine.types import BadInput, Candidate, Reference

if TYPE_CHECKING:
    from engine.studio import Studio

SCALES = (0.2, 0.35, 0.5, 1.0)


def add_candidates(parser: ArgumentParser) -> _Which:
    """Flags that choose candidates: `--run` or `--checkpoints`, at `--scales`, with the base unless `--no-base`.
    Returns the group of which one is given, for a verb that can do something else instead.
    """
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", help="all checkpoints of this run")
    which.add_argument("--checkpoints", nargs="+", metavar="ID", help="these checkpoints: RUN@STEP")
    parser.add_argument(
        "--scales",
        nargs="+",
        type=float,
        default=list(SCALES),
        metavar="S",
        help=f"at these lora_scales (default: {SCALES})",
    )
    parser.add_argument(
        "--no-base", action="store_true", help="leave the base voice out; nothing is then compared with it"
    )
    return which


def candidates_of(studio: Studio, args: Namespace) -> list[Candidate]:
    """The candidates that the flags choose."""
    ids = args.checkpoints or [checkpoint.id for checkpoint in studio.checkpoints(args.run)]
    if not ids:
        raise BadInput(f"{args.run} has no checkpoints yet; wait until it has written one.")
    return studio.candidates(ids, args.scales, with_base=not args.no_base)


def parse_candidate(studio: Studio, name: str) -> Candidate:
    """A candidate by its id: `RUN@STEP:SCALE`, or `base:BACKEND/VOICE`."""
    if name.startswith("base:"):
        backend, _, voice = name.removeprefix("base:").partition("/")
        return _base(studio, backend, voice)
    checkpoint, _, scale = name.rpartition(":")
    try:
        chosen = float(scale)
    except ValueError:
        chosen = float("nan")
    if not checkpoint or not chosen > 0:
        raise BadInput(f"{name!r} is no candidate; write a checkpoint and a scale above 0, such as RUN@000300:0.35.")
    return studio.candidates([checkpoint], [chosen], with_base=False)[0]


def add_voice(parser: ArgumentParser) -> None:
    """Flags that choose one voice: base (default), `--adapter` with `--scale`, `--candidate` or `--alias`."""
    parser.add_argument("--backend", default="finch", help="the model (default: finch)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--voice", default="", help="a base voice (default: the first)")
    which.add_argument(
        "--adapter", type=Path, metavar="DIR", help="the adapter in a checkpoint's or an export's folder"
    )
    which.add_argument("--candidate", help="a candidate of the workspace: RUN@STEP:SCALE")
    which.add_argument("--alias", help="a promoted voice, such as production/robin")
    parser.add_argument("--scale", type=float, default=1.0, help="lora_scale for --adapter (default: 1.0)")


def voice_of(studio: Studio, args: Namespace) -> tuple[Candidate, dict[str, float]]:
    """The candidate that the flags of `add_voice` choose (`--adapter` is not one); an alias keeps its own settings."""
    if args.alias:
        promotion = studio.promotion(args.alias)
        return promotion.candidate, {**promotion.settings.flat, **settings_of(args)}
    candidate = parse_candidate(studio, args.candidate) if args.candidate else _base(studio, args.backend, args.voice)
    return candidate, settings_of(args)


def add_reference(parser: ArgumentParser) -> None:
    """Flags that choose one audio prompt: `--reference`, by name or as a file with `--reference-text`."""
    parser.add_argument("--reference", metavar="NAME|FILE", help="an audio prompt, for voices that follow one")
    parser.add_argument("--reference-text", default="", metavar="TEXT", help="what is said in a --reference FILE")
    parser.add_argument("--language", default="en", help="the language of the text (default: en)")


def reference_of(studio: Studio, args: Namespace) -> Reference | None:
    """The audio prompt that the flags of `add_reference` choose."""
    if args.reference is None:
        return None
    path = Path(args.reference)
    if path.is_file():
        return studio.keep_reference(path, args.reference_text).reference
    return studio.reference(args.reference)


def _base(studio: Studio, backend: str, voice: str) -> Candidate:
    voices = studio.base_voices(backend)
    if voice and voice not in voices:
        raise BadInput(f"{backend} has no base voice {voice!r}; it has: {', '.join(voices)}.")
    return Candidate(backend=backend, voice=voice or voices[0])


def add_settings(parser: ArgumentParser) -> None:
    """One flag for each setting of how voices speak, and one for those that a model has alone."""
    for setting in SETTINGS:
        flag = f"--{setting.name.replace('_', '-')}"
        kind = int if setting.step == 1 else float
        parser.add_argument(
            flag, type=kind, default=SUPPRESS, metavar="N", help=f"{setting.about} (default: the model's)"
        )
    own = "a setting of the model's own, such as subtalker_temperature=0.7; may be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="NAME=N", help=own)


def settings_of(args: Namespace) -> dict[str, float]:
    """The settings that the flags give. Raises BadInput for a `--set` that is no name and number."""
    given = {setting.name: getattr(args, setting.name) for setting in SETTINGS if hasattr(args, setting.name)}
    for told in args.set:
        name, _, value = told.partition("=")
        try:
            given[name.strip()] = float(value)
        except ValueError:
            raise BadInput(f"--set {told}: write NAME=NUMBER, such as --set subtalker_temperature=0.7.") from None
    return given
