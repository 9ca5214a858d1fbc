"""CSM as a `SpeechModel`: a backbone that draws the first code of a frame, a depth decoder that draws the others.

Knows how upstream's own class trains, and that its audio goes in and out as codes of the Mimi inside it. Knows neither
adapters nor files of runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.backends.transformers_tts import csm_generation, prompts
from engine.backends.transformers_tts.code_model import IGNORED, CodeModel, Drawn, ordinary_sec
from engine.backends.transformers_tts.csm_generation import Prompt
from engine.backends.transformers_tts.families import DEPTH_LEAST, DEPTH_SHARE
from engine.backends.transformers_tts.info import ModelFolder
from engine.backends.transformers_tts.native import Serving
from engine.types import BadInput, Reference, SpeakRow, Speech, Utterance

SPEAKER = "0"  # the role of the only speaker: who it is, the weights or a reference say


@dataclass(frozen=True, eq=False)
class Example:
    """One row: ids of its whole sequence (positions,), with a mark a frame, and the frames' codes (frames, books)."""

    key: str
    ids: Tensor
    codes: Tensor


class CsmModel(CodeModel):
    """Backbone and depth decoder can be trained; the codec is frozen."""

    def __init__(self, net: Any, processor: Any, folder: ModelFolder, sha256: str, device: str) -> None:
        """The embedding of codes is one tensor that both nets use; it belongs to the backbone's part alone, or two
        optimizers would step it.
        """
        depth = net.depth_decoder.model
        joined = {
            "layers": depth.layers,
            "norm": depth.norm,
            "inputs_embeds_projector": depth.inputs_embeds_projector,
            "codebooks_head": net.depth_decoder.codebooks_head,
        }
        if depth.embed_tokens.weight is not net.backbone_model.embed_tokens.embed_audio_tokens.weight:
            joined["embed_tokens"] = depth.embed_tokens
        lm = {"backbone_model": net.backbone_model, "lm_head": net.lm_head, "embed_text_tokens": net.embed_text_tokens}
        parts = {"lm": nn.ModuleDict(lm), "depth": nn.ModuleDict(joined)}
        super().__init__(net, processor, folder, sha256, device, parts)
        depth.register_forward_pre_hook(_not_packed, with_kwargs=True)

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        """The transformer layers of a part."""
        net = self._net.backbone_model if part == "lm" else self._net.depth_decoder.model
        return tuple(net.layers)

    # ------------------------------------------------------------------------------------------------------- training
    def length(self, example: Example) -> int:
        """Positions of the sequence: text tokens, a frame each 80 ms, and the end."""
        return len(example.ids)

    def loss_tokens(self, example: Example) -> int:
        """Frames and the end."""
        return len(example.codes) + 1

    def loss_names(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Both losses whatever is trained: the depth decoder starts from the backbone's hidden states, which it would
        no longer know if the backbone were trained without it.
        """
        return ("lm", "depth")

    def loss(
        self, examples: Sequence[Example], voice: str, parts: Sequence[str], seed: int | None
    ) -> Mapping[str, Tensor]:
        """`lm`: cross entropy of each frame's first code. `depth`: that of its other codes. Both in nats a code.

        With a seed, dropout and the frames that the depth decoder is trained on follow it; without one it is judged on
        all of them and nothing is random.
        """
        with self._mode(training=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            batch = self.collated(examples, every_frame=seed is None)
            # without a cache: computing layers twice would append their keys twice
            told = self._net(**batch, use_cache=False)
        return {"lm": told.backbone_loss.float(), "depth": told.depth_decoder_loss.float()}

    def collated(self, examples: Sequence[Example], *, every_frame: bool) -> dict[str, Tensor]:
        """A batch, padded on the right, as upstream's `forward` takes it once its codec has been run."""
        config = self._net.config
        # not with its pad token: the released config has the audio token's id there
        ids = nn.utils.rnn.pad_sequence([example.ids for example in examples], batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(example.ids) for example in examples], batch_first=True)
        labels = torch.full((*ids.shape, config.num_codebooks), IGNORED)
        labels[ids == config.audio_token_id] = torch.cat([example.codes for example in examples])
        labels[ids == config.audio_eos_token_id] = config.codebook_eos_token_id
        if not every_frame:
            for row in labels:
                frames = (row[:, 0] != IGNORED).nonzero()[:, 0]
                kept = max(DEPTH_LEAST, math.ceil(len(frames) / DEPTH_SHARE))
                row[frames[torch.randperm(len(frames))[kept:]], 1:] = IGNORED
        codes = torch.cat([example.codes for example in examples]).to(self.device)
        return {
            "inputs_embeds": csm_generation.embedded(self._net, ids.to(self.device), codes),
            "attention_mask": mask.to(self.device),
            "labels": labels.to(self.device),
        }

    def _training_prompt(self, utterance: Utterance, voice: Path | None) -> Path | None:
        """None: CSM goes on from what was said, and a row's reference comes without its words."""
        return None

    def _made(self, utterance: Utterance, prompt: Path | None) -> dict[str, Tensor]:
        what = f"Row {utterance.id}"
        said = prompts.checked(utterance.text, self._marks, what)
        codes = self._encode(utterance.audio_path)
        whole = self._tokens([prompts.turn(SPEAKER, ("text", said), ("audio", "target"))], [codes])
        prompts.must_begin_with(whole, self._tokens([prompts.turn(SPEAKER, ("text", said))], []), what)
        return {"ids": torch.tensor(whole, dtype=torch.int32), "codes": codes.to(torch.int16)}

    def _example(self, key: str, features: Mapping[str, Tensor]) -> Example:
        return Example(key, features["ids"].long(), features["codes"].long())

    # ------------------------------------------------------------------------------------------------- text and prompts
    @property
    def _marks(self) -> tuple[str, ...]:
        return (self._processor.audio_token, self._processor.audio_eos_token)

    def _tokens(self, turns: Sequence[prompts.Turn], codes: Sequence[Tensor]) -> list[int]:
        """Ids of a conversation; each mark of audio becomes one a frame of the next of `codes`."""
        rendered = prompts.render(self._processor, turns)
        if rendered.count(self._marks[0]) != len(codes) or (codes and "".join(self._marks) not in rendered):
            raise BadInput(
                f"The model's chat template does not put audio as {''.join(self._marks)}; download "
                "chat_template.jinja from where the weights came from."
            )
        ids = self._processor.tokenizer(rendered, add_special_tokens=False)["input_ids"]
        frames = iter(codes)
        mark = self._net.config.audio_token_id
        return [each for token in ids for each in ([mark] * len(next(frames)) if token == mark else [token])]

    @torch.no_grad()
    def _encode(self, path: Path) -> Tensor:
        """Codes (frames, books) of a file, in main memory."""
        wave = self._samples(path).view(1, 1, -1).to(self.device)
        codes: Tensor = self._net.codec_model.encode(wave).audio_codes[0, : self._net.config.num_codebooks]
        return codes.T.long().cpu().contiguous().clone()

    def _prompt(self, row: SpeakRow) -> Prompt:
        said = prompts.checked(row.text, self._marks, f"The text {row.text[:40]!r}")
        self._voice_path(row.voice)
        turns, codes = self._context(row.reference) if row.reference else ([], [])
        ids = self._tokens([*turns, prompts.turn(SPEAKER, ("text", said))], codes)
        seconds = ordinary_sec(said)
        cap = max(1, math.ceil(seconds * self._folder.frame_rate * row.settings.max_factor))
        self._must_fit(row.text, len(ids), cap)
        return Prompt(torch.tensor(ids), torch.cat(codes) if codes else None, cap)

    def _context(self, reference: Reference) -> tuple[list[prompts.Turn], list[Tensor]]:
        """A turn of the same speaker before the text, as upstream's examples do it."""
        name = reference.audio_path.name
        if not reference.text.strip():
            raise BadInput(f"The reference {name} has no transcript, and CSM goes on from its words; give it.")
        said = prompts.checked(reference.text, self._marks, f"The transcript of {name}")
        turn = prompts.turn(SPEAKER, ("text", said), ("audio", "reference"))
        return [turn], [self._codes_of(reference)]

    # ------------------------------------------------------------------------------------------------------- speaking
    def _spoken(self, rows: Sequence[SpeakRow], serving: Serving) -> list[Speech]:
        started = time.perf_counter()
        with serving(rows):
            drawn = self.drawn(rows)
        share_sec = (time.perf_counter() - started) / len(rows)
        return [self._speech(row, one, share_sec) for row, one in zip(rows, drawn, strict=True)]

    def drawn(self, rows: Sequence[SpeakRow]) -> list[Drawn]:
        """The codes (frames, books) of each row, and how it ended."""
        asked = [self._prompt(row) for row in rows]
        with self._mode(training=False):
            return csm_generation.generate(self._net, asked, rows, self.on_step)

    def _decoded(self, codes: Tensor) -> Tensor:
        samples: Tensor = self._net.codec_model.decode(codes.T[None].to(self.device)).audio_values[0, 0]
        return samples


def _not_packed(
    _net: nn.Module, inputs: tuple[Any, ...], told: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A mask of ones for the depth decoder. Without one, transformers (seen in 5.24) looks for packed sequences in
    positions that have no rows, and fails where a batch has as many frames as a frame has codes.
    """
    ids = told.get("input_ids")
    if told.get("attention_mask") is None and told.get("cache") is None and ids is not None:
        told = told | {"attention_mask": torch.ones_like(ids)}
    return inputs, told
