"""The emotion of a voice: what a voice's name says of it, and the vector that upstream makes of it.

`default` has the emotion of its reference; `default@happy` has upstream's happy at its full strength, and
`default@happy:0.5` at half of it. The name stays with run, adapter, candidate and clip, so that the setting is recorded
wherever a clip is. Imports torch only to compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.types import NotFound

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT, MARK, STRENGTH = "default", "@", ":"
# Upstream's order and the factors that it puts on each (indextts/infer_v2.py, `normalize_emo_vec`).
BIAS: Mapping[str, float] = {
    "happy": 0.9375,
    "angry": 0.875,
    "sad": 1.0,
    "afraid": 1.0,
    "disgusted": 0.9375,
    "melancholic": 0.9375,
    "surprised": 0.6875,
    "calm": 0.5625,
}
EMOTIONS = tuple(BIAS)
MOST = 0.8  # of all emotions together; the rest stays with the reference
HALF = "0.5"
VOICES = (DEFAULT, *(f"{DEFAULT}{MARK}{name}{s}" for name in EMOTIONS for s in ("", f"{STRENGTH}{HALF}")))


def weights(voice: str) -> tuple[float, ...]:
    """The weight of each emotion (8,) of a voice's name, as upstream biases and caps them; all 0 for `default`.

    Raises NotFound for another name.
    """
    name, _, told = voice.partition(MARK)
    emotion, _, strength = told.partition(STRENGTH)
    try:
        asked = float(strength or 1.0)
    except ValueError:
        asked = -1.0
    if name != DEFAULT or (told and emotion not in BIAS) or not 0.0 <= asked <= 1.0:
        raise NotFound(
            f"IndexTTS2 has no voice {voice!r}: it is {DEFAULT}, or {DEFAULT}{MARK} and one of {', '.join(EMOTIONS)}, "
            f"and where you like a strength from 0 to 1, as in {DEFAULT}{MARK}happy{STRENGTH}{HALF}."
        )
    return tuple(min(MOST, asked * BIAS[each]) if each == emotion else 0.0 for each in EMOTIONS)


def vector(own: Tensor, style: Tensor, voice: str, *, emotions: Sequence[Tensor], speakers: Sequence[Tensor]) -> Tensor:
    """The emotion (width,) that a voice is spoken with, after the reference's `own` one.

    Of each emotion upstream keeps vectors of several speakers (n, width) beside these speakers' styles (n, 192); the
    one whose speaker is most like the reference's `style` (192,) counts, with the emotion's weight, and `own` with what
    is left of 1.
    """
    from torch.nn import functional

    asked = weights(voice)
    if not any(asked):
        return own
    found = own * (1.0 - sum(asked))
    for weight, vectors, styles in zip(asked, emotions, speakers, strict=True):
        if weight:
            closest = functional.cosine_similarity(style.float()[None], styles.float(), dim=1).argmax()
            found = found + weight * vectors[closest]
    return found
