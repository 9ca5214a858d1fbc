"""The training step of Qwen3-TTS, and the check that it teaches what is spoken.

Knows which state predicts which code. Upstream's script, and the `labels` of its classes, do not: the talker's labels
are shifted twice there, the predictor sees its own frame, and its labels are shifted again. So losses are taken here
from logits alone, and `agreement` measures that they are taken at the right places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.backends.qwen3_tts.layout import Layout, Target

PREDICTOR_SHARE = 0.3  # of the predictor's loss in the sum, upstream's own


@dataclass(frozen=True, eq=False)
class Example:
    """One utterance: ids of role and text, codes (frames, groups), and the target's vector (width,) where the model
    takes one; `key` is the hash of audio and text.
    """

    key: str
    text: tuple[int, ...]
    codes: Tensor
    speaker: Tensor | None = None

    @property
    def positions(self) -> int:
        """Of the sequence: text, frames, and the at most nine marks around them."""
        return len(self.text) + len(self.codes) + 9


@dataclass(frozen=True, eq=False)
class Predicted:
    """Logits and what they should say, all frames of a batch one after the other.

    `first` (n, vocabulary) predicts `wanted` (n,): the first code of every frame and then the end. `others`
    (frames, groups - 1, codes) predict `codes` (frames, groups) but their first. `shares` (n,) and `frame_shares`
    (frames,) weight them so that an example counts by its length, whatever shares its batch.
    """

    first: Tensor
    wanted: Tensor
    shares: Tensor
    others: Tensor
    codes: Tensor
    frame_shares: Tensor


def losses(net: Any, examples: Sequence[Example], targets: Sequence[Target]) -> dict[str, Tensor]:
    """`talker`: cross entropy of a frame's first code or the end, in nats. `predictor`: 0.3 times that of its other
    codes, as upstream adds it.
    """
    found = predict(net, examples, targets)
    talker = functional.cross_entropy(found.first, found.wanted, reduction="none")
    groups = found.codes.shape[1] - 1
    inner = functional.cross_entropy(found.others.flatten(0, 1), found.codes[:, 1:].flatten(), reduction="none")
    return {
        "talker": (talker * found.shares).sum(),
        "predictor": PREDICTOR_SHARE * (inner.view(-1, groups).mean(1) * found.frame_shares).sum(),
    }


def predict(net: Any, examples: Sequence[Example], targets: Sequence[Target]) -> Predicted:
    """One teacher-forced pass. The state before a frame predicts its first code; with that code it is what the
    predictor has of the frame, never the state of the frame itself.
    """
    layout, device = Layout(net), net.talker.codec_head.weight.device
    rows, starts = [], []
    for example, target in zip(examples, targets, strict=True):
        prompt = layout.prompt(example.text, target)
        starts.append(len(prompt) - 1)
        rows.append(torch.cat([prompt, layout.frames(example.codes.to(device))]))
    inputs = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = torch.arange(inputs.shape[1], device=device)[None] < lengths[:, None]
    hidden = net.talker.model(inputs_embeds=inputs, attention_mask=mask.long(), use_cache=False).last_hidden_state
    before = [state[start : len(row)] for state, start, row in zip(hidden, starts, rows, strict=True)]
    codes = torch.cat([example.codes for example in examples]).to(device)
    end = torch.tensor([net.config.talker_config.codec_eos_token_id])
    wanted = torch.cat([torch.cat([example.codes[:, 0], end]) for example in examples]).to(device)
    counts = [len(one) for one in before]
    total = sum(counts)
    frame_shares = torch.cat([torch.full((n - 1,), n / (n - 1) / total) for n in counts])
    return Predicted(
        first=net.talker.codec_head(torch.cat(before)).float(),
        wanted=wanted,
        shares=torch.full((total,), 1 / total, device=device),
        others=_others(net.talker, torch.cat([one[:-1] for one in before]), codes).float(),
        codes=codes,
        frame_shares=frame_shares.to(device),
    )


def _others(talker: Any, states: Tensor, codes: Tensor) -> Tensor:
    """The predictor's logits (frames, groups - 1, codes): a frame is a row of its batch."""
    predictor = talker.code_predictor
    tables = [talker.model.codec_embedding, *predictor.model.codec_embedding]
    known = [table(codes[:, group]) for group, table in enumerate(tables[: codes.shape[1] - 1])]
    inputs = predictor.small_to_mtp_projection(torch.stack([states, *known], dim=1))
    hidden = predictor.model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    return torch.stack([head(hidden[:, group + 1]) for group, head in enumerate(predictor.lm_head)], dim=1)


@torch.no_grad()
def agreement(net: Any, example: Example, target: Target) -> float:
    """The share of the codes of `example` that the training step finds most probable where it puts them: 1.0 for what
    the model itself said without chance, and for nothing else when a label is in the wrong place.

    Only codes that can be said compete, as in speaking.
    """
    found = predict(net, [example], [target])
    sayable = net.config.talker_config.vocab_size - 1024
    first = found.first[:-1, :sayable].argmax(1) == found.codes[:, 0]
    others = found.others.argmax(2) == found.codes[:, 1:]
    return float(torch.cat([first[:, None], others], dim=1).double().mean())
