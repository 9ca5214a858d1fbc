"""The training step of IndexTTS2's GPT, and the check that it teaches what is spoken.

Knows which state predicts which token. Upstream's `forward` returns states alone and pads a text with stops before the
codes; here both heads are asked, and a batch is padded at its end, so that a row is what it is alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.backends.indextts2.layout import MARKS, Layout

# Of the text's gradient beside the codes': the 0.2 and 0.8 of the community's trainers (JarodMica/index-tts).
TEXT_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Told:
    """What one prompt tells the GPT: `latents` (32, width), `emotion` (width,)."""

    latents: Tensor
    emotion: Tensor


@dataclass(frozen=True, eq=False)
class Example:
    """One utterance: text ids, semantic codes (n,), and the prompts that it may be spoken after, other clips of its
    speaker; the first is validation's. `key` is the hash of audio and text.
    """

    key: str
    text: tuple[int, ...]
    codes: Tensor
    prompts: tuple[Told, ...]

    @property
    def positions(self) -> int:
        """Of the sequence: latents and durations, text, codes, and their marks."""
        return len(self.prompts[0].latents) + 2 + len(self.text) + MARKS + len(self.codes) + 1


@dataclass(frozen=True, eq=False)
class Predicted:
    """Logits (n, vocabulary) and what they should say (n,), all rows of a batch one after the other: of every text and
    its stop, and of all codes and their stop.
    """

    text: Tensor
    wanted_text: Tensor
    codes: Tensor
    wanted_codes: Tensor


def losses(voice: Any, examples: Sequence[Example], prompts: Sequence[Told]) -> dict[str, Tensor]:
    """`codes` and `text`: cross entropy in nats a token, each over its own tokens, unscaled. The text's gradient counts
    `TEXT_SHARE` of the codes'.
    """
    found = predict(voice, examples, prompts)
    text = functional.cross_entropy(found.text, found.wanted_text)
    return {
        "codes": functional.cross_entropy(found.codes, found.wanted_codes),
        "text": TEXT_SHARE * text + (1 - TEXT_SHARE) * text.detach(),
    }


def predict(voice: Any, examples: Sequence[Example], prompts: Sequence[Told]) -> Predicted:
    """One teacher-forced pass."""
    layout = Layout(voice)
    before = [layout.before(p.latents, p.emotion, e.text) for e, p in zip(examples, prompts, strict=True)]
    rows = [torch.cat([one, layout.codes(e.codes, as_spoken=True)]) for one, e in zip(before, examples, strict=True)]
    inputs = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=layout.device)
    mask = torch.arange(inputs.shape[1], device=layout.device)[None] < lengths[:, None]
    states = layout.states(inputs, mask.long(), use_cache=False).last_hidden_state
    states = voice.final_norm(states)
    texts, codes = [], []
    for state, start, example in zip(states, map(len, before), examples, strict=True):
        texts.append(state[start - len(example.text) - MARKS : start - 1])
        codes.append(state[start : start + len(example.codes) + 1])
    return Predicted(
        text=voice.text_head(torch.cat(texts)).float(),
        wanted_text=_ended([torch.tensor(e.text, dtype=torch.long) for e in examples], voice.stop_text_token, layout),
        codes=voice.mel_head(torch.cat(codes)).float(),
        wanted_codes=_ended([e.codes for e in examples], voice.stop_mel_token, layout),
    )


def _ended(rows: Sequence[Tensor], stop: int, layout: Layout) -> Tensor:
    """All rows one after the other, each with its stop."""
    return torch.cat([functional.pad(row, (0, 1), value=stop) for row in rows]).to(layout.device)


@torch.no_grad()
def agreement(voice: Any, example: Example) -> float:
    """The share of the codes of `example` that the training step finds most probable where it puts them: 1.0 for what
    the model itself said without chance, and for nothing else when a label is in the wrong place. The end is left out,
    since a capped row never said it.
    """
    found = predict(voice, [example], example.prompts[:1])
    sayable = min(voice.start_mel_token, voice.stop_mel_token)
    first = found.codes[:-1, :sayable].argmax(1)
    return float((first.cpu() == example.codes).double().mean()) if len(example.codes) else 1.0
