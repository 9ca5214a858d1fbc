"""The messages of a served voice: a JSON object and raw bytes, each with its length, nothing that runs code.

Knows what goes over the pipe and what may not: a frame that does not begin as ours, or is longer than any of ours, is
no frame. Knows neither processes nor voices.

    4 bytes  mark      what every frame begins with
    4 bytes  length    of the JSON object, big-endian
    4 bytes  length    of the payload
    JSON, UTF-8, then the payload: float32 samples, little-endian, mono, one clip after the other
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from engine.types import Adapter, EngineError, GenerationSettings, Reference, SpeakRow, Speech, SpeechTokens, Stop

PROTOCOL = 2  # of the messages; both ends must have the same
MARK = b"EVX1"
HEAD = struct.Struct(">4sII")
MOST_JSON, MOST_PAYLOAD = 64 << 20, 1 << 30


class BrokenPipe(EngineError):
    """What came over the pipe is no message, or not a whole one."""


def write(stream: BinaryIO, message: Mapping[str, Any], payload: bytes = b"") -> None:
    """Send one frame. Raises BrokenPipe when nobody reads any more."""
    told = json.dumps(message, separators=(",", ":")).encode()
    try:
        stream.write(HEAD.pack(MARK, len(told), len(payload)) + told + payload)
        stream.flush()
    except (OSError, ValueError) as error:
        raise BrokenPipe(f"The other end of the pipe is gone ({error}).") from error


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next frame; None at the end of the stream. Raises BrokenPipe for anything that is not one."""
    head = _exactly(stream, HEAD.size)
    if not head:
        return None
    mark, told, extra = HEAD.unpack(head) if len(head) == HEAD.size else (b"", 0, 0)
    if mark != MARK or told > MOST_JSON or extra > MOST_PAYLOAD:
        raise BrokenPipe(f"Something else than a message came over the pipe: {head[:64]!r}.")
    body, payload = _exactly(stream, told), _exactly(stream, extra)
    if len(body) != told or len(payload) != extra:
        raise BrokenPipe("The pipe ended in the middle of a message.")
    try:
        message = json.loads(body)
    except ValueError as error:
        raise BrokenPipe(f"A message is not JSON ({error}).") from error
    if not isinstance(message, dict):
        raise BrokenPipe("A message is no JSON object.")
    return message, payload


def _exactly(stream: BinaryIO, count: int) -> bytes:
    """As many bytes, fewer only where the stream ends."""
    pieces = []
    while count:
        piece = stream.read(count)
        if not piece:
            break
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


# -------------------------------------------------------------------------------------------------- records as messages
def row_to_json(row: SpeakRow) -> dict[str, Any]:
    """All that a row's audio depends on."""
    told = asdict(row)
    if row.reference is not None:
        told["reference"]["audio_path"] = str(row.reference.audio_path.resolve())
    return told


def row_from_json(told: Mapping[str, Any]) -> SpeakRow:
    """The row again. Raises TypeError for one of another version."""
    reference = told["reference"]
    if reference is not None:
        reference = Reference(**{**reference, "audio_path": Path(reference["audio_path"])})
    return SpeakRow(**{**told, "settings": GenerationSettings(**told["settings"]), "reference": reference})


def adapter_to_json(adapter: Adapter) -> dict[str, Any]:
    """An adapter by where its files are: weights go over the disk, not over the pipe."""
    return {**asdict(adapter), "path": str(adapter.path.resolve())}


def adapter_from_json(told: Mapping[str, Any]) -> Adapter:
    """The adapter again."""
    return Adapter(**{**told, "path": Path(told["path"]), "parts": tuple(told["parts"])})


def speeches_to_frame(spoken: Sequence[Speech]) -> tuple[list[dict[str, Any]], bytes]:
    """What was said, and its samples as they are, to the bit."""
    told = [
        {
            "count": len(speech.samples),
            "sample_rate": speech.sample_rate,
            "tokens": speech.tokens,
            "stop": speech.stop.value,
            "render_sec": speech.render_sec,
            "attempts": speech.attempts,
            "speech_tokens": asdict(speech.speech_tokens) if speech.speech_tokens else None,
        }
        for speech in spoken
    ]
    return told, b"".join(speech.samples.astype("<f4").tobytes() for speech in spoken)


def speeches_from_frame(told: Sequence[Mapping[str, Any]], payload: bytes) -> list[Speech]:
    """The speeches again. Raises BrokenPipe where the bytes are not as many as is said."""
    samples = np.frombuffer(payload, "<f4").astype(np.float32)
    counts = [int(one["count"]) for one in told]
    if sum(counts) != len(samples):
        raise BrokenPipe(f"{sum(counts)} samples were announced and {len(samples)} came.")
    ends = np.cumsum(counts)
    return [
        Speech(
            samples=samples[end - count : end].copy(),
            sample_rate=int(one["sample_rate"]),
            tokens=int(one["tokens"]),
            stop=Stop(one["stop"]),
            render_sec=float(one["render_sec"]),
            attempts=int(one["attempts"]),
            speech_tokens=_tokens(one["speech_tokens"]),
        )
        for one, count, end in zip(told, counts, ends, strict=True)
    ]


def _tokens(told: Mapping[str, Any] | None) -> SpeechTokens | None:
    if told is None:
        return None
    return SpeechTokens(said=tuple(told["said"]), reference=tuple(told["reference"]), rate_hz=float(told["rate_hz"]))
