"""The sequence that Qwen3-TTS is trained on and speaks from: text and codes, one of each a position, summed.

Knows upstream's non-streaming layout (`Qwen3TTSForConditionalGeneration.generate`), which its fine-tuning data follows
as well, and whose text goes through `text_projection`: its public training step leaves that out. Knows no files.

    text   role x3   pad ... pad   bos   text ids   eos    pad         pad, a frame
    codes  none      tags speaker  pad   pad        pad    codec bos   sum of all groups
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROLE, TAIL, REFERENCE_TAIL = 3, 5, 2  # tokens before a text, after it, and after a reference's transcript


def text_ids(tokenize: Callable[[str], list[int]], text: str) -> tuple[int, ...]:
    """Role and text; what follows in upstream's template is cut, as upstream cuts it."""
    return tuple(tokenize(f"<|im_start|>assistant\n{text}<|im_end|>\n<|im_start|>assistant\n")[:-TAIL])


def reference_ids(tokenize: Callable[[str], list[int]], text: str) -> tuple[int, ...]:
    """The words of a reference, without a role."""
    return tuple(tokenize(f"<|im_start|>assistant\n{text}<|im_end|>\n")[ROLE:-REFERENCE_TAIL])


@dataclass(frozen=True, eq=False)
class Target:
    """Who speaks and what the model is told of it: a vector (width,) or none, and the codec id of a language tag or
    none, which is "Auto".
    """

    speaker: Tensor | None = None
    language: int | None = None


@dataclass(frozen=True, eq=False)
class Heard:
    """An audio prompt that is gone on from: its words' ids and its codes (frames, groups)."""

    words: Sequence[int]
    codes: Tensor


class Layout:
    """Embeddings of sequences, by upstream's own modules. `net` is its `Qwen3TTSForConditionalGeneration`."""

    def __init__(self, net: Any) -> None:
        self._net = net
        self._talker = net.talker
        self._config = net.config.talker_config

    def prompt(self, ids: Sequence[int], target: Target, heard: Heard | None = None) -> Tensor:
        """Embeddings (positions, width) of all that stands before the first frame; the last is the codec's start."""
        config, pad = self._config, self._text([self._net.config.tts_pad_token_id])
        start = self._text([self._net.config.tts_bos_token_id])
        tags = self._tags(target)
        below = self._codes([*tags, config.codec_pad_id])
        if target.speaker is not None:
            vector = target.speaker.to(below)[None]
            below = torch.cat([below[: len(tags)], vector, below[len(tags) :]])
        above = torch.cat([pad.expand(len(below) - 1, -1), start])
        words = [*(heard.words if heard else ()), *ids[ROLE:]]
        said = self._text([*words, self._net.config.tts_eos_token_id]) + self._codes([config.codec_pad_id])
        pieces = [self._text(ids[:ROLE]), above + below, said, pad + self._codes([config.codec_bos_id])]
        if heard is not None:
            pieces.append(self.frames(heard.codes))
        return torch.cat(pieces)

    def frames(self, codes: Tensor) -> Tensor:
        """Embeddings (frames, width) of frames that were said, for codes (frames, groups)."""
        return self.summed(codes) + self._text([self._net.config.tts_pad_token_id])

    def summed(self, codes: Tensor) -> Tensor:
        """The sum over the groups (frames, width): inference sums all of them, and so does training."""
        total: Tensor = self._talker.model.codec_embedding(codes[:, 0])
        for group, table in enumerate(self._talker.code_predictor.model.codec_embedding, start=1):
            total = total + table(codes[:, group])
        return total

    def speaker(self, row: int) -> Tensor:
        """The vector (width,) of a speaker that the model has."""
        found: Tensor = self._talker.model.codec_embedding.weight[row]
        return found

    def _tags(self, target: Target) -> list[int]:
        config = self._config
        if target.language is None:
            return [config.codec_nothink_id, config.codec_think_bos_id, config.codec_think_eos_id]
        return [config.codec_think_id, config.codec_think_bos_id, target.language, config.codec_think_eos_id]

    def _text(self, ids: Sequence[int]) -> Tensor:
        found: Tensor = self._talker.text_projection(self._talker.model.text_embedding(self._ids(ids)))
        return found

    def _codes(self, ids: Sequence[int]) -> Tensor:
        found: Tensor = self._talker.model.codec_embedding(self._ids(ids))
        return found

    def _ids(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(list(ids), dtype=torch.long, device=self._talker.model.codec_embedding.weight.device)
