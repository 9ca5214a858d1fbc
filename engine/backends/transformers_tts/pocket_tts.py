"""Pocket TTS as a `SpeechModel`: a backbone over text and continuous latents, and a flow head that draws each latent.

Knows how upstream's own class trains and generates, and what in it would follow something else than a row's seed.
Knows neither adapters nor files of runs.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.backends.drawing import GaussianNoise
from engine.backends.transformers_tts import prompts
from engine.backends.transformers_tts.info import ModelFolder
from engine.backends.transformers_tts.native import NativeModel, Serving
from engine.types import SpeakRow, Speech, Stop, Utterance

FLOW, END = "flow", "end"  # the losses
REFERENCES = 16  # audio prompts whose latents are remembered
PLAIN_FACTOR = 3.0  # the `max_factor` at which a text may take as long as upstream lets it


@dataclass(frozen=True, eq=False)
class Example:
    """One row: ids of its whole sequence (positions,), target latents (frames, size), those of its audio prompt."""

    key: str
    ids: Tensor
    latents: Tensor
    prompt: Tensor | None


@dataclass(frozen=True, eq=False)
class Prompt:
    """What one row starts from; `tail` frames follow its end of speech, `cap` frames are the most it may take."""

    ids: Tensor
    audio: Tensor | None
    tail: int
    cap: int


class PocketTtsModel(NativeModel):
    """Backbone with end-of-speech head, and flow head, can be trained; the codec is frozen."""

    def __init__(self, net: Any, processor: Any, folder: ModelFolder, sha256: str, device: str) -> None:
        """Freezes the latents' statistics: upstream moves these two buffers in the first thousand training steps, an
        adapter does not keep them, and scale 0 would no longer be the base.
        """
        net.config.latent_stats_ema_steps = 0
        parts = {
            "lm": nn.ModuleDict({"model": net.model, "eos_head": net.eos_head}),
            "flow": net.flow_head,
        }
        super().__init__(net, processor, folder, sha256, device, parts)
        self._heard = functools.lru_cache(maxsize=REFERENCES)(lambda path, _sha256: self._encode_prompt(path))

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        """The backbone's layers. The flow head is differentiated forward as well, which cannot be done twice."""
        return tuple(self._net.model.layers) if part == "lm" else ()

    # ------------------------------------------------------------------------------------------------------- training
    def length(self, example: Example) -> int:
        """Positions of the sequence: audio prompt, text, and a frame each 80 ms."""
        return len(example.ids)

    def loss_tokens(self, example: Example) -> int:
        """Frames: what the flow loss is a mean over."""
        return len(example.latents)

    def loss_names(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Both losses teach both parts: the flow's reaches the backbone through its hidden states."""
        return (FLOW, END)

    def loss(
        self, examples: Sequence[Example], voice: str, parts: Sequence[str], seed: int | None
    ) -> Mapping[str, Tensor]:
        """`flow`: upstream's Lagrangian self-distillation loss. `end`: cross entropy of the end of speech, in nats,
        with upstream's weight. Their sum is upstream's loss.

        With a seed, noise, times, dropout and whether the distillation is computed follow it. Without one every example
        has noise of its own, which follows from its audio and text, and the distillation is always computed.
        """
        if seed is not None:
            with self._mode(training=True):
                torch.manual_seed(seed)
                self._net.distill_generator.manual_seed(seed)  # upstream's own, which no checkpoint keeps
                return self._losses(examples)
        with self._mode(training=False):
            found = []
            for example in examples:
                torch.manual_seed(int(example.key[:15], 16))
                found.append((self._losses([example]), self.loss_tokens(example)))
        shares = torch.tensor([float(count) for _, count in found], device=self.device)
        shares /= shares.sum()
        return {name: (torch.stack([losses[name] for losses, _ in found]) * shares).sum() for name in (FLOW, END)}

    def _losses(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        batch = {name: tensor.to(self.device) for name, tensor in self.collated(examples).items()}
        # without a cache: computing layers twice would append their keys twice
        told = self._net(**batch, use_cache=False)
        config = self._net.config
        speaks = (batch["input_ids"] == config.audio_bos_token_id) | (
            batch["input_ids"] == config.audio_latent_token_id
        )
        # of a row's speaking positions the last one, whose input is the last frame, is the end
        last = torch.cat([speaks[:, 1:], speaks.new_zeros(len(speaks), 1)], dim=1) < speaks
        logits = told.logits[speaks][:, 0].float()
        end = config.eos_loss_weight * functional.binary_cross_entropy_with_logits(logits, last[speaks].float())
        return {FLOW: told.loss.float() - end, END: end}

    def collated(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """A batch, padded on the right, as upstream's `forward` takes it."""
        padded = functools.partial(nn.utils.rnn.pad_sequence, batch_first=True)
        ids = [example.ids for example in examples]
        batch = {
            "input_ids": padded(ids, padding_value=self._net.config.pad_token_id),
            "attention_mask": padded([torch.ones_like(one) for one in ids]),
            "labels": padded([example.latents for example in examples]),
            "labels_mask": padded([torch.ones(len(example.latents), dtype=torch.long) for example in examples]),
        }
        return batch | self._audio([example.prompt for example in examples])

    def _audio(self, found: Sequence[Tensor | None]) -> dict[str, Tensor]:
        """Latents of audio prompts as upstream takes them: of those rows that have one, in order."""
        given = [latents for latents in found if latents is not None]
        if not given:
            return {}
        marks = [torch.ones(len(latents), dtype=torch.long) for latents in given]
        return {
            "audio_prompt_latents": nn.utils.rnn.pad_sequence(given, batch_first=True),
            "audio_prompt_latents_mask": nn.utils.rnn.pad_sequence(marks, batch_first=True),
        }

    def _training_prompt(self, utterance: Utterance, voice: Path | None) -> Path | None:
        return utterance.reference_audio or voice

    def _made(self, utterance: Utterance, prompt: Path | None) -> dict[str, Tensor]:
        what = f"Row {utterance.id}"
        latents = self._encode(utterance.audio_path, ends_on_pause=False)
        heard = self._encode(prompt, ends_on_pause=False) if prompt else None
        asked = self._turns(utterance.text, heard, what)
        answer = prompts.turn("assistant", ("audio", "target"))
        whole = self._ids(prompts.render(self._processor, [*asked, answer]), heard, latents)["input_ids"][0]
        begun = self._ids(self._asking(asked), heard, None)["input_ids"][0]
        prompts.must_begin_with(whole.tolist(), begun.tolist(), what)
        made = {"ids": whole, "latents": latents}
        return made | ({"prompt": heard} if heard is not None else {})

    def _example(self, key: str, features: Mapping[str, Tensor]) -> Example:
        return Example(key, features["ids"].long(), features["latents"], features.get("prompt"))

    # ------------------------------------------------------------------------------------------------- text and prompts
    def _turns(self, text: str, heard: Tensor | None, what: str) -> list[prompts.Turn]:
        said = prompts.checked(text, self._processor.placeholder_tokens, what)
        voice = [("audio", "voice")] if heard is not None else []
        return [prompts.turn("user", *voice, ("text", said))]

    def _asking(self, turns: Sequence[prompts.Turn]) -> str:
        return prompts.render(self._processor, turns, ends_with=self._processor.audio_bos_token)

    def _ids(self, rendered: str, heard: Tensor | None, target: Tensor | None) -> Any:
        return self._processor(
            text=[rendered],
            audio_prompt_latents=None if heard is None else [heard],
            labels=None if target is None else [target],
            return_tensors="pt",
        )

    @torch.no_grad()
    def _encode(self, path: Path, *, ends_on_pause: bool) -> Tensor:
        """Latents (frames, size) of a file, in main memory."""
        codec = self._processor.audio_tokenizer
        heard = self._processor.feature_extractor(
            self._samples(path).numpy(), sampling_rate=self.sample_rate, end_on_pause=ends_on_pause
        )
        told = codec.encode(heard["input_values"].to(self.device), heard["padding_mask"].to(self.device))
        latents: Tensor = told.latents[0, : int(told.latents_mask[0].sum())].float().cpu()
        return latents.contiguous().clone()

    def _encode_prompt(self, path: Path) -> Tensor:
        """An audio prompt for speaking ends on a short pause, or the model goes on with its last word."""
        return self._encode(path, ends_on_pause=True)

    def _prompt(self, row: SpeakRow) -> Prompt:
        path = row.reference.audio_path if row.reference else self._voice_path(row.voice)
        heard = self._heard(path, row.reference.sha256 if row.reference else "") if path else None
        told = self._ids(self._asking(self._turns(row.text, heard, f"The text {row.text[:40]!r}")), heard, None)
        ids = told["input_ids"][0]
        words = len(ids) - sum(int((ids == token).sum()) for token in self._net._placeholder_token_ids())
        # upstream's own budget (`generate`), at the usual factor
        plain = (words / 3 + 2) * self._net.config.frame_rate
        cap = max(1, math.ceil(plain * row.settings.max_factor / PLAIN_FACTOR))
        self._must_fit(row.text, len(ids), cap)
        return Prompt(ids, heard, int(told["frames_after_eos"][0]), cap)

    # ------------------------------------------------------------------------------------------------------- speaking
    def _spoken(self, rows: Sequence[SpeakRow], serving: Serving) -> list[Speech]:
        started = time.perf_counter()
        with serving(rows):
            drawn = self.drawn(rows)
        share_sec = (time.perf_counter() - started) / len(rows)
        return [self._speech(latents, stop, share_sec) for latents, stop in drawn]

    def drawn(self, rows: Sequence[SpeakRow]) -> list[tuple[Tensor, Stop]]:
        """The latents (frames, size) of each row, and how it ended, by upstream's own `generate`."""
        asked = [self._prompt(row) for row in rows]
        width = max(len(one.ids) for one in asked)
        pad = self._net.config.pad_token_id
        batch = {
            "input_ids": torch.stack([functional.pad(o.ids, (width - len(o.ids), 0), value=pad) for o in asked]),
            "attention_mask": torch.stack(
                [functional.pad(torch.ones_like(o.ids), (width - len(o.ids), 0)) for o in asked]
            ),
            "frames_after_eos": torch.tensor([one.tail for one in asked]),
            **self._audio([one.audio for one in asked]),
        }
        with self._mode(training=False), self._steps(GaussianNoise(rows), max(one.cap for one in asked)):
            told = self._net.generate(
                **{name: tensor.to(self.device) for name, tensor in batch.items()},
                do_sample=False,  # the rows' own noise instead
                max_new_tokens=max(one.cap for one in asked),
                return_dict_in_generate=True,
                output_scores=True,
            )
        ends = torch.stack(told.scores, dim=1).float().cpu() > self._setting("eos_threshold", -4.0)
        ends[:, : int(self._setting("min_frames_before_eos", 6))] = False
        found = []
        for place, one in enumerate(asked):
            frames, stop = _frames(ends[place], one)
            found.append((told.audio_latents[place, :frames], stop))
        return found

    def _setting(self, name: str, default: float) -> float:
        """The folder's generation config, with upstream's defaults."""
        told = getattr(self._net.generation_config, name, None)
        return default if told is None else float(told)

    @contextmanager
    def _steps(self, noise: GaussianNoise, longest: int) -> Iterator[None]:
        """Upstream draws the noise of all rows from the global generator; within the block each row has its own, and
        every step is told.
        """
        sample, frames = self._net.sample_latent, itertools.count()

        def with_own_noise(condition: Tensor, _: Tensor, steps: int) -> Tensor:
            if self.on_step is not None:
                self.on_step(next(frames), longest)
            drawn: Tensor = sample(condition, noise.draw(like=_), steps)
            return drawn

        self._net.sample_latent = with_own_noise
        try:
            yield
        finally:
            del self._net.sample_latent

    def _speech(self, latents: Tensor, stop: Stop, share_sec: float) -> Speech:
        """Decoded by itself: given its latents, a row is the same to the bit whatever else is rendered."""
        started = time.perf_counter()
        samples = self._processor.decode(latents).clamp(-1, 1).numpy().astype(np.float32)
        return Speech(
            samples=samples,
            sample_rate=self.sample_rate,
            tokens=len(latents),
            stop=stop,
            render_sec=share_sec + time.perf_counter() - started,
        )


def _frames(ends: Tensor, prompt: Prompt) -> tuple[int, Stop]:
    """How many frames are the row's own, and whether it ended by itself: the batch goes on for the longest row."""
    found = ends[: prompt.cap].nonzero()
    if not len(found):
        return prompt.cap, Stop.CAP
    return min(prompt.cap, int(found[0]) + 1 + prompt.tail), Stop.EOS
