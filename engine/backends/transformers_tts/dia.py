"""Dia as a `SpeechModel`: a text encoder over bytes, and a decoder that draws a frame of codes, channel after channel.

Knows how upstream's own class trains, that texts name their speaker, and that audio goes in and out as codes of a DAC
that is kept apart. Knows neither adapters nor files of runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.backends.transformers_tts import dia_generation, prompts
from engine.backends.transformers_tts.code_model import IGNORED, CodeModel, Drawn, ordinary_sec
from engine.backends.transformers_tts.dia_generation import Prompt, delayed
from engine.backends.transformers_tts.info import ModelFolder
from engine.backends.transformers_tts.native import Serving
from engine.types import BadInput, Reference, SpeakRow, Speech, Utterance

SPEAKER, SPEAKERS = "[S1]", ("[S1]", "[S2]")  # a text says who speaks; one that does not is the first speaker's
WITHOUT_TEXT = 0.1  # of the trained rows: guidance needs a net that also knows what to do without a text; ours


@dataclass(frozen=True, eq=False)
class Example:
    """One row: ids of its text (bytes,) and the codes (frames, channels) of its audio."""

    key: str
    ids: Tensor
    codes: Tensor


class DiaModel(CodeModel):
    """Decoder with its head, and text encoder, can be trained; the codec is frozen."""

    def __init__(self, net: Any, processor: Any, folder: ModelFolder, sha256: str, device: str) -> None:
        parts = {
            "lm": nn.ModuleDict({"decoder": net.model.decoder, "logits_dense": net.logits_dense}),
            "text": net.model.encoder,
        }
        super().__init__(net, processor, folder, sha256, device, parts)

    @property
    def _sequence_positions(self) -> int:
        return int(self._net.config.encoder_config.max_position_embeddings)

    @property
    def _codec(self) -> Any:
        return self._processor.audio_tokenizer  # a DAC

    @property
    def _extra_positions(self) -> int:
        """Of a sequence, beyond its frames: the beginning, and the last channel's delay."""
        return 1 + int(max(self._net.config.delay_pattern))

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        """The transformer layers of a part."""
        return tuple((self._net.model.decoder if part == "lm" else self._net.model.encoder).layers)

    # ------------------------------------------------------------------------------------------------------- training
    def length(self, example: Example) -> int:
        """Bytes of text and frames of audio: what the two nets compute."""
        return len(example.ids) + len(example.codes) + self._extra_positions

    def loss_tokens(self, example: Example) -> int:
        """Codes and the ends of all channels."""
        return (len(example.codes) + 1) * example.codes.shape[1]

    def loss_names(self, parts: Sequence[str]) -> tuple[str, ...]:
        """One loss whatever is trained: it reaches the encoder through the decoder."""
        return ("lm",)

    def loss(
        self, examples: Sequence[Example], voice: str, parts: Sequence[str], seed: int | None
    ) -> Mapping[str, Tensor]:
        """`lm`: cross entropy of all channels' codes and ends, in nats a code: upstream's loss.

        With a seed, dropout and the rows that are trained without their text follow it; without one nothing is random.
        """
        with self._mode(training=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            batch = self.collated(examples, without_text=0.0 if seed is None else WITHOUT_TEXT)
            # without a cache: computing layers twice would append their keys twice
            told = self._net(**{name: one.to(self.device) for name, one in batch.items()}, use_cache=False)
        return {"lm": told.loss.float()}

    def collated(self, examples: Sequence[Example], *, without_text: float) -> dict[str, Tensor]:
        """A batch as upstream's `forward` takes it, padded on the right; a share of the rows has no text."""
        config = self._net.config
        ids = nn.utils.rnn.pad_sequence([example.ids for example in examples], batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(example.ids) for example in examples], batch_first=True)
        ids = ids.masked_fill((torch.rand(len(examples)) < without_text)[:, None], 0)
        made = [self._sequence(example) for example in examples]
        pad = config.decoder_config.pad_token_id
        whole = nn.utils.rnn.pad_sequence(made, batch_first=True, padding_value=pad)
        heard = nn.utils.rnn.pad_sequence([torch.ones(len(one), dtype=torch.long) for one in made], batch_first=True)
        labels = whole[:, 1:].transpose(1, 2).flatten(0, 1)
        unsaid = (labels == pad) | (labels == config.decoder_config.bos_token_id)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "decoder_input_ids": whole[:, :-1],
            "decoder_attention_mask": heard[:, :-1],
            "labels": labels.masked_fill(unsaid, IGNORED),
        }

    def _sequence(self, example: Example) -> Tensor:
        """Positions (n, channels): a beginning, the codes and an end, each channel behind its delay."""
        decoder = self._net.config.decoder_config
        begin, end = (
            torch.full((1, decoder.num_channels), token) for token in (decoder.bos_token_id, decoder.eos_token_id)
        )
        return delayed(torch.cat([begin, example.codes, end]), self._net.config)

    def _training_prompt(self, utterance: Utterance, voice: Path | None) -> Path | None:
        """None: Dia goes on from what was said, and a row's reference comes without its words."""
        return None

    def _made(self, utterance: Utterance, prompt: Path | None) -> dict[str, Tensor]:
        what = f"Row {utterance.id}"
        ids, codes = self._ids(utterance.text, what), self._encode(utterance.audio_path)
        positions = len(codes) + self._extra_positions
        if positions > self._folder.max_positions:
            raise BadInput(
                f"{what} takes {positions} positions of audio and the model has {self._folder.max_positions}: cut its "
                "clip into shorter ones, or leave the row out."
            )
        return {"ids": ids.to(torch.int32), "codes": codes.to(torch.int16)}

    def _example(self, key: str, features: Mapping[str, Tensor]) -> Example:
        return Example(key, features["ids"].long(), features["codes"].long())

    # ------------------------------------------------------------------------------------------------- text and prompts
    def _ids(self, text: str, what: str) -> Tensor:
        said = prompts.checked(text, (), what)
        named = said if said.startswith(SPEAKERS) else f"{SPEAKER} {said}"
        return torch.tensor(self._processor.tokenizer(named, add_special_tokens=False)["input_ids"])

    @torch.no_grad()
    def _encode(self, path: Path) -> Tensor:
        """Codes (frames, channels) of a file, in main memory; its last frame is filled with silence."""
        wave = self._samples(path)
        wave = nn.functional.pad(wave, (0, -len(wave) % self._folder.frame_samples))
        codes: Tensor = self._codec.encode(wave.view(1, 1, -1).to(self.device)).audio_codes[0]
        return codes.T.long().cpu().contiguous().clone()

    def _prompt(self, row: SpeakRow) -> Prompt:
        self._voice_path(row.voice)
        what = f"The text {row.text[:40]!r}"
        said = prompts.checked(row.text, (), what)
        before, codes = self._context(row.reference) if row.reference else ("", self._nothing)
        ids = self._ids(f"{before}{said}", what)
        seconds = row.expected_sec or ordinary_sec(said)
        cap = max(1, math.ceil(seconds * self._folder.frame_rate * row.settings.max_factor))
        self._must_fit(row.text, len(codes) + self._extra_positions, cap)
        if len(ids) > self._sequence_positions:
            raise BadInput(
                f"{what}… is too long to be said in one go: with its reference's words it has {len(ids)} bytes and the "
                f"model takes {self._sequence_positions}; split it into chunks, or shorten the reference."
            )
        return Prompt(ids, codes, cap)

    @property
    def _nothing(self) -> Tensor:
        return torch.empty((0, self._net.config.decoder_config.num_channels), dtype=torch.long)

    def _context(self, reference: Reference) -> tuple[str, Tensor]:
        """The reference's words go before the text, its audio before what is said, as upstream clones a voice."""
        name = reference.audio_path.name
        if not reference.text.strip():
            raise BadInput(f"The reference {name} has no transcript, and Dia goes on from its words; give it.")
        said = prompts.checked(reference.text, (), f"The transcript of {name}")
        return f"{said} ", self._codes_of(reference)

    # ------------------------------------------------------------------------------------------------------- speaking
    def _spoken(self, rows: Sequence[SpeakRow], serving: Serving) -> list[Speech]:
        started = time.perf_counter()
        drawn = self.drawn(rows, serving)
        share_sec = (time.perf_counter() - started) / len(rows)
        return [self._speech(row, one, share_sec) for row, one in zip(rows, drawn, strict=True)]

    def drawn(self, rows: Sequence[SpeakRow], serving: Serving | None = None) -> list[Drawn]:
        """The codes (frames, channels) of each row, and how it ended. Rows share a batch with those whose references
        are as long; each row is two of the net's.
        """
        asked = [self._prompt(row) for row in rows]
        found: dict[int, Drawn] = {}
        for length in sorted({len(one.codes) for one in asked}):
            places = [place for place, one in enumerate(asked) if len(one.codes) == length]
            some = [rows[place] for place in places]
            with self._mode(training=False), serving([*some, *some]) if serving else nullcontext():
                told = dia_generation.generate(self._net, [asked[place] for place in places], some, self.on_step)
            found |= dict(zip(places, told, strict=True))
        return [found[place] for place in range(len(rows))]

    def _decoded(self, codes: Tensor) -> Tensor:
        samples: Tensor = self._codec.decode(audio_codes=codes.T[None].to(self.device)).audio_values.reshape(-1)
        return samples
