"""CosyVoice as a `SpeechModel`: a language model that draws speech tokens, a flow that makes them a spectrogram.

Knows which of upstream's modules make a part, and that losses and rows follow their seeds alone. Knows neither adapters
(a `RowMixer` serves them) nor files of runs. The language model speaks all rows in one batch; flow and vocoder follow
row by row, since upstream's flow takes one at a time.
"""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.backends.cosyvoice import (
    checkout,
    feature_cache,
    generation,
    info,
    joint_checkpoint,
    loading,
    rendering,
    sequences,
    speakers,
)
from engine.backends.cosyvoice.feature_cache import FeatureCache
from engine.backends.cosyvoice.frontend import Features, Frontend
from engine.backends.cosyvoice.generation import Asked
from engine.backends.cosyvoice.info import PARTS, VOICE, ModelFolder
from engine.backends.cosyvoice.loading import Nets
from engine.backends.cosyvoice.sequences import Example
from engine.backends.cosyvoice.versions import SPEAKERS
from engine.backends.drawn_rows import Drawn, OnStep
from engine.backends.speech_model import Capabilities, LoraPart, RowMixer
from engine.types import BadInput, NotFound, Reference, Refused, SpeakRow, Speech, SpeechTokens, Stop, Utterance

REFERENCES = 16  # audio prompts whose features are remembered
FLOW_DRAWS = 4  # fixed times and noises of each example in validation
# how an adapter keeps its voice's vector, number by number
SPEAKER_NAMES = tuple(f"speaker_{place:03d}" for place in range(rendering.SPEAKER_SIZE))


def load(name: str, folder: Path, device: str) -> CosyVoiceModel:
    """CosyVoice with the weights in `folder` and the classes of the checkout that the environment names.

    `device` is "cpu", "cuda:0" and the like, or "auto": the first GPU if there is one. Raises NotFound or BadInput for
    a folder or checkout that is not whole, Refused for a version of transformers under which it would garble.
    """
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    code = checkout.path(os.environ)
    found = info.read(name, folder)
    return CosyVoiceModel(loading.load(found, code), Frontend(found, code), found, info.base_sha256(found), device)


def must_be_usable() -> None:
    """Raises NotFound where this interpreter lacks a package that CosyVoice needs. Needs no checkout."""
    checkout.must_be_usable()


class CosyVoiceModel:
    """CosyVoice 1, 2 or 3. Language model and flow can be trained; the vocoder is frozen."""

    def __init__(self, nets: Nets, frontend: Frontend, folder: ModelFolder, sha256: str, device: str) -> None:
        self.name = folder.name
        self.device = device
        self.base_sha256 = sha256
        self.sample_rate = folder.sample_rate
        self.capabilities = Capabilities(
            parts=PARTS,
            voices=folder.voices,
            languages=folder.version.languages,
            full_sft=True,
            reference="optional",
        )
        self._nets = nets
        self._frontend = frontend
        self._folder = folder
        self._cache = FeatureCache(sha256, frontend)
        self._keeps_one = False
        self.on_step: OnStep | None = None
        self._heard = functools.lru_cache(maxsize=REFERENCES)(frontend.features)

    # ------------------------------------------------------------------------------------------------------- adapters
    def part(self, name: str) -> nn.Module:
        """The module of a LoRA part; adapters are injected into it in place."""
        module: nn.Module = self._on_device(name)
        return module

    def lora_parts(self) -> tuple[LoraPart, ...]:
        """Attention of the language model, and of the flow."""
        return (
            LoraPart(name="llm", target_modules=self._folder.version.llm_targets),
            LoraPart(name="flow", target_modules=self._folder.version.flow_targets),
        )

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        """The transformer layers of a part: what activations are kept for."""
        net: Any = getattr(self._nets, part)
        return loading.layers(net) if part == "llm" else loading.flow_layers(net)

    def keep_one_part(self) -> None:
        """From now on whichever net is asked for is on the device, and the others in main memory."""
        self._keeps_one = True

    def _on_device(self, name: str) -> Any:
        """A net where it is needed: what a training does not use stays out of the card's memory."""
        if self._keeps_one:
            for other in ("llm", "flow", "hift"):
                if other != name:
                    getattr(self._nets, other).to("cpu")
        return getattr(self._nets, name).to(self.device)

    # ------------------------------------------------------------------------------------------------------- training
    def closest_voice(self, utterances: Sequence[Utterance]) -> str:
        """The one that is nobody's: a tuned voice has the speaker vector of its own rows."""
        return VOICE

    def features(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Example]:
        """One training example an utterance, in order, each with the mean speaker vector of all."""
        return self._cache.examples(utterances, cache, self._told(voice)[1])

    def measure(self, utterances: Sequence[Utterance], cache: Path) -> None:
        """Put what the ears make of these clips into `cache`, where it is not there yet."""
        self._cache.examples(utterances, cache)

    def voice_settings(self, examples: Sequence[Example], voice: str) -> Mapping[str, float]:
        """The mean speaker vector: with it the voice is spoken without a reference."""
        vector = feature_cache.mean_speaker([example.speaker for example in examples])
        return dict(zip(SPEAKER_NAMES, vector.tolist(), strict=True))

    def unloaded_loss(self, examples: Sequence[Example]) -> Mapping[str, float]:
        """The flow's where it hears nothing: it knows how loud each bin of these clips is on average, and no more."""
        return {"flow": sequences.ladder(examples).bins}

    def length(self, example: Example) -> int:
        """Positions of the language model's sequence: texts, marks and speech tokens."""
        return len(example.prompt) + len(example.text) + len(example.tokens) + self._folder.version.marks

    def loss_tokens(self, example: Example) -> int:
        """Speech tokens and the end: what the language model's loss is a mean over, and the flow's in proportion."""
        return len(example.tokens) + 1

    def loss(
        self, examples: Sequence[Example], voice: str, parts: Sequence[str], seed: int | None
    ) -> Mapping[str, Tensor]:
        """`llm`: cross entropy in nats a speech token, text first (upstream mixes in another order, for streaming, half
        of the time). `flow`: mean squared error of the velocity over all numbers of the spectrogram.

        With a seed, dropout, times, noise and dropped conditions follow it. Without one nothing of the language model
        is random, and every example has `FLOW_DRAWS` times and noises of its own, which follow from its audio and text.
        """
        found: dict[str, Tensor] = {}
        if "llm" in parts:
            with self._mode("llm", seed):
                batch = sequences.for_llm(examples, prompt_apart=self._folder.version.prompt_apart)
                found["llm"] = self._loss("llm", batch)
        if "flow" in parts:
            found["flow"] = self._flow_loss(examples) if seed is None else self._trained_flow(examples, seed)
        return found

    def _trained_flow(self, examples: Sequence[Example], seed: int) -> Tensor:
        with self._mode("flow", seed):
            return self._loss("flow", sequences.for_flow(examples))

    def _flow_loss(self, examples: Sequence[Example]) -> Tensor:
        weighted = []
        for example in examples:
            with self._mode("flow", None):
                for draw in range(FLOW_DRAWS):
                    _seed(int(example.key[:12], 16) + draw)
                    loss = self._loss("flow", sequences.for_flow([example]))
                    weighted.append(loss * self.loss_tokens(example) / FLOW_DRAWS)
        return torch.stack(weighted).sum() / sum(self.loss_tokens(example) for example in examples)

    def _loss(self, name: str, batch: dict[str, Tensor]) -> Tensor:
        loss: Tensor = self._on_device(name)(batch, torch.device(self.device))["loss"]
        return loss.float()

    @contextmanager
    def _mode(self, name: str, seed: int | None) -> Iterator[None]:
        """One net in training mode for a seed, else in evaluation; all global generators afterwards as they were:
        upstream draws from Python's as well as from torch's. No condition is dropped in evaluation.
        """
        net = self._on_device(name)
        devices = [self.device] if self.device.startswith("cuda") else []
        state, decoder = random.getstate(), getattr(net, "decoder", None)
        rate = getattr(decoder, "training_cfg_rate", 0.0)
        with torch.random.fork_rng(devices):
            if seed is not None:
                _seed(seed)
            net.train(seed is not None)
            if decoder is not None and seed is None:
                decoder.training_cfg_rate = 0.0
            try:
                yield
            finally:
                if decoder is not None:
                    decoder.training_cfg_rate = rate
                net.eval()
                random.setstate(state)

    # ------------------------------------------------------------------------------------------------------- speaking
    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render the rows: tokens in one batch, then each row's sound. Row i's audio depends on row i alone.

        Raises BadInput for a text that cannot be said, NotFound for an unknown voice, Refused for a row with an
        adapter when there is no mixer to serve it.
        """
        if mixer is None and any(row.adapter_sha256 is not None and row.lora_scale for row in rows):
            raise Refused("A row names an adapter and nothing serves adapters; speak through an AdapterHost.")
        if not rows:
            return []
        started = time.perf_counter()
        prompts = [self._prompt(row) for row in rows]
        drawn = self.drawn(rows, mixer)
        share_sec = (time.perf_counter() - started) / len(rows)
        spoken = []
        for row, prompt, one in zip(rows, prompts, drawn, strict=True):
            with mixer.using([row]) if mixer else nullcontext():
                spoken.append(self._speech(row, prompt, one, share_sec))
        return spoken

    def drawn(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Drawn[int]]:
        """The speech tokens of each row, and how it ended."""
        asked = [self._asked(row) for row in rows]

        def serving(places: Sequence[int]) -> AbstractContextManager[None]:
            return mixer.using([rows[place] for place in places]) if mixer else nullcontext()

        return generation.generate(self._on_device("llm"), asked, rows, serving, self.on_step)

    def _told(self, voice: str) -> tuple[str, str]:
        """Who speaks, and what they are told."""
        found = info.told(self._folder, voice)
        if found is not None:
            return found
        instructed = f"; {VOICE}@WORDS is one that is told something" if self._folder.instructs else ""
        deaf = "" if self._folder.instructs else " CosyVoice 1 is told something in a folder named ...-Instruct alone."
        raise NotFound(
            f"{self.name} has no voice {voice!r}; it has {', '.join(self._folder.voices)}{instructed}, and a reference "
            f"makes others.{deaf}"
        )

    def _asked(self, row: SpeakRow) -> Asked:
        _, instruction = self._told(row.voice)
        text = self._frontend.text_ids(row.text)
        if not text or info.unpronounceable(row.text):
            raise BadInput(f"The text {row.text!r} has nothing to say; give it words.")
        least, most = generation.bounds(len(text), row.settings.max_factor)
        # an instruction stands in the place of the reference's words: upstream's instruct mode
        transcript = row.reference.text.strip() if row.reference and not instruction else ""
        prompt = self._prompt(row)
        is_tuned = row.lora_scale and row.adapter_sha256 is not None
        return Asked(
            prompt=tuple(self._frontend.prompt_ids(transcript, instruction)),
            text=tuple(text),
            # a reference without its words is for the flow alone: upstream's cross-lingual mode
            speech=prompt.tokens if transcript else torch.zeros(0, dtype=torch.long),
            least=least,
            most=most,
            # a base that is told in words who speaks hears nobody, as upstream has it; a tuned one was taught with both
            speaker=prompt.speaker if not instruction or is_tuned else None,
        )

    def _prompt(self, row: SpeakRow) -> Features:
        """What flow and language model go on from: the reference, or without one the adapter's own speaker, or one that
        the folder brings.
        """
        if row.reference:
            return self._reference(row.reference)
        nothing = rendering.nothing()
        if not (row.lora_scale and any(name in row.voice_settings for name in SPEAKER_NAMES)):
            name, _ = self._told(row.voice)
            brought = speakers.vectors(self._folder.path / SPEAKERS) if name != VOICE else {}
            return Features(tokens=nothing.tokens, mel=nothing.mel, speaker=brought.get(name, nothing.speaker))
        try:
            own = [row.voice_settings[name] for name in SPEAKER_NAMES]
        except KeyError as error:
            raise BadInput(
                f"The adapter's voice lacks {error}; bring in the adapter again, or give a reference."
            ) from error
        return Features(tokens=nothing.tokens, mel=nothing.mel, speaker=torch.tensor(own))

    def _reference(self, reference: Reference) -> Features:
        return self._heard(reference.audio_path)

    def _speech(self, row: SpeakRow, prompt: Features, drawn: Drawn[int], share_sec: float) -> Speech:
        started = time.perf_counter()
        shortens = self._folder.version.shortens_silences and row.settings.own.get(info.SHORTEN_SILENCES, 1) > 0
        tokens = rendering.shortened(drawn.codes) if shortens else drawn.codes
        range_of_its_own = joint_checkpoint.mel_range(row.voice_settings, row.lora_scale)
        prompt = replace(prompt, mel=range_of_its_own.into(prompt.mel))
        # one that stops before it began still has a place in time
        mel = rendering.spectrogram(
            self._on_device("flow"),
            tokens or [0],
            prompt,
            device=self.device,
            rate=self._folder.token_rate,
            seed=row.seed,
        )
        samples = rendering.samples(self._on_device("hift"), range_of_its_own.back(mel), seed=row.seed)
        return Speech(
            samples=samples if tokens else samples * 0,
            sample_rate=self.sample_rate,
            tokens=len(drawn.codes),
            stop=drawn.stop or Stop.CAP,
            render_sec=share_sec + time.perf_counter() - started,
            speech_tokens=SpeechTokens(
                said=tuple(drawn.codes), reference=tuple(prompt.tokens.tolist()), rate_hz=self._folder.token_rate
            ),
        )


def _seed(seed: int) -> None:
    random.seed(seed)
    torch.manual_seed(seed)
