"""Verbs about clips: sweep candidates over a script, speak any text, screen any file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.choosing import (
    add_reference,
    add_settings,
    add_voice,
    reference_of,
    settings_of,
    voice_of,
)
from engine.cli.output import seconds, table
from engine.cli.verb import Answer, Verb
from engine.types import BadInput, Speech

if TYPE_CHECKING:
    from engine.screeners import Screening
    from engine.studio import Studio


# ---------------------------------------------------------------------------------------------------------------- speak
def _speak_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--text", required=True, help="what to say")
    parser.add_argument("--out", required=True, type=Path, help="the file to write, .wav or .flac")
    parser.add_argument("--seed", type=int, default=42, help="the same seed says it the same way (default: 42)")
    add_voice(parser)
    add_reference(parser)
    add_settings(parser)


def _speak(studio: Studio, args: Namespace) -> Answer:
    from engine import audio

    if args.out.suffix.lower() not in audio.FORMATS:
        raise BadInput(f"{args.out} should end in {' or '.join(audio.FORMATS)}; other kinds of audio are not written.")
    speech = _spoken(studio, args)
    audio.write(args.out, speech.samples, speech.sample_rate)
    data = {
        "path": args.out,
        "sample_rate": speech.sample_rate,
        "duration_sec": len(speech.samples) / speech.sample_rate,
        "tokens": speech.tokens,
        "stop": speech.stop,
        "render_sec": speech.render_sec,
    }
    told = f"{args.out}: {seconds(len(speech.samples) / speech.sample_rate)}, ended by {speech.stop.value}."
    return Answer(data=data, text=told)


def _spoken(studio: Studio, args: Namespace) -> Speech:
    said = {"seed": args.seed, "reference": reference_of(studio, args), "language": args.language}
    if args.adapter is not None:
        settings = settings_of(args)
        return studio.speak_adapter(args.text, adapter=args.adapter, lora_scale=args.scale, settings=settings, **said)
    candidate, settings = voice_of(studio, args)
    return studio.speak(args.text, candidate=candidate, settings=settings, **said)


# --------------------------------------------------------------------------------------------------------------- screen
def _screen_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("audio", type=Path, help="an audio file: WAV, FLAC, OGG or MP3, mono or stereo, any rate")
    parser.add_argument("--text", required=True, help="what it should say")
    parser.add_argument("--language", default="en", help="of the text, as in en or zh (default: en)")
    parser.add_argument("--backend", default="finch", help="whose ear listens (default: finch)")


def _screen(studio: Studio, args: Namespace) -> Answer:
    heard = studio.screen_file(args.audio, args.text, backend=args.backend, language=args.language)
    return Answer(data=_heard_data(heard), text=_heard_told(heard))


def _heard_data(heard: Screening) -> dict[str, Any]:
    """What programs read: five states alone; a word that was said unclearly is there, and is marked beside it."""
    from engine.screeners.words import bare

    words = [
        {
            "word": bare(w.text),
            "start_sec": w.start_sec,
            "end_sec": w.end_sec,
            "state": "ok" if w.state == "wrong" else w.state,
            **({"unclear": True} if w.state == "wrong" else {}),
        }
        for w in heard.words
    ]
    named = {state: [w["word"] for w in words if w["state"] == state] for state in ("dropped", "merged", "inserted")}
    scores = [
        {"name": s.screener, "value": s.value, "passed": s.passed, "explanation": s.explanation} for s in heard.scores
    ]
    return {"duration_sec": heard.duration_sec, "words": words, **named, "scores": scores}


def _heard_told(heard: Screening) -> str:
    marks = {True: "pass", False: "FLAG", None: ""}
    rows = [(s.screener, marks[s.passed], s.value, s.unit, s.explanation) for s in heard.scores]
    return table(("measure", "", "value", "unit", "what was heard"), rows, empty="Nothing was measured.")


VERBS = (
    Verb(
        name="speak",
        help="say a text with a base voice, an adapter, a candidate or an alias",
        arguments=_speak_arguments,
        run=_speak,
        needs_home=lambda args: args.candidate is not None or args.alias is not None,
    ),
    Verb(
        name="screen",
        help="listen to a file by measures: words, rate, silence, clipping, pitch",
        arguments=_screen_arguments,
        run=_screen,
        needs_home=lambda args: False,
    ),
)
