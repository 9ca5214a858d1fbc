"""Finch as a `SpeechModel`: what training and speaking ask of the built-in voice, over its nets.

Knows how the nets work together. Knows neither adapters (a `RowMixer` serves them to rows) nor files of runs. The
language model works on all rows at once; decoder and vocoder, a small share of the time, take row after row, so that
given its tokens a row's audio is the same to the bit whatever else is rendered.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine import audio
from engine.backends.drawn_rows import Drawn, OnStep
from engine.backends.finch import (
    acoustics,
    codec,
    feature_cache,
    generation,
    language_model,
    phonemes,
    tuning,
    weights,
)
from engine.backends.finch.ear import Ear, Listener
from engine.backends.finch.generation import Prompt
from engine.backends.finch.info import ASSETS, LANGUAGES, PARTS, SAMPLE_RATE, base_sha256, stored_config
from engine.backends.finch.tuning import Example
from engine.backends.speech_model import Capabilities, LoraPart, RowMixer
from engine.types import BadInput, NotFound, Refused, SpeakRow, Speech, Stop, Utterance

CLOCK = "clock"  # the voice setting that Finch keeps: mean pace, 1 is the training average, more is slower
CLOCK_JITTER = 0.03  # s.d. of the log clock while training
CROP_TOKENS = 64  # the decoder trains on crops of 2.56 s
MAX_POSITIONS = 4096
PRONUNCIATIONS = 1024  # texts whose phonemes are remembered
MIN_CAP = 25  # tokens: a single short word may take a second
LISTENED_UTTERANCES = 12  # enough for a median pitch
# Added to a row's seed: the vocoder's noise is another stream than the tokens'.
VOCODER_STREAM = 1 << 40
DECODER_RATE = 2.0  # the decoder learns a voice best at twice the language model's rate


def load(base_model: str = "", device: str = "cpu") -> FinchModel:
    """Finch with the weights in the folder `base_model`, or its own. Raises NotFound or BadInput for weights that are
    not whole.

    `device` is "cpu", "cuda:0" and the like, or "auto": the first GPU if there is one.
    """
    folder = Path(base_model) if base_model else ASSETS
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    sha256 = base_sha256(stored_config(folder))
    try:
        return FinchModel(weights.load(folder), sha256, functools.partial(weights.load_ear, folder), device)
    except (weights.BrokenWeights, KeyError, TypeError) as error:
        raise BadInput(
            f"The Finch weights in {folder} cannot be used: {error}; restore them from the repository."
        ) from error


class FinchModel:
    """The built-in voice: language model and decoder can carry adapters, everything else is frozen."""

    name = "finch"
    sample_rate = SAMPLE_RATE

    def __init__(self, nets: weights.Finch, sha256: str, load_listener: Callable[[], Listener], device: str) -> None:
        """`load_listener` is called when a decoder is first trained: speaking needs no ear."""
        self.device = device
        self.base_sha256 = sha256
        self.on_step: OnStep | None = None
        self.capabilities = Capabilities(
            parts=PARTS, voices=tuple(voice.name for voice in nets.config.voices), languages=LANGUAGES, full_sft=True
        )
        self._nets = nets
        self._vocabulary = nets.config.vocabulary
        self._inventory = nets.config.inventory
        self._parts: dict[str, nn.Module] = {"lm": nets.language_model, "decoder": nets.decoder}
        self._load_listener = load_listener
        # A sweep says the same lines again and again.
        self._pronounced = functools.lru_cache(maxsize=PRONUNCIATIONS)(self._pronounce)
        speaking: tuple[nn.Module, ...] = (
            nets.language_model,
            nets.encoder,
            nets.decoder,
            nets.vocoder,
        )
        for net in speaking:
            net.to(device).eval().requires_grad_(False)

    @functools.cached_property
    def _ear(self) -> Ear:
        return self._load_listener().ear.to(self.device).eval().requires_grad_(False)

    # ------------------------------------------------------------------------------------------------------- adapters
    def part(self, name: str) -> nn.Module:
        """The module of a LoRA part; adapters are injected into it in place."""
        return self._parts[name]

    def lora_parts(self) -> tuple[LoraPart, ...]:
        """The language model's attention, and all Linears of the decoder."""
        return (
            LoraPart(name="lm", target_modules=language_model.LM_LORA_TARGETS),
            LoraPart(
                name="decoder",
                target_modules=codec.DECODER_LORA_TARGETS,
                learning_rate_factor=DECODER_RATE,
            ),
        )

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        """The language model's layers and the decoder's blocks: what activations are kept for."""
        if part == "lm":
            return tuple(self._nets.language_model.model.layers)
        return (*self._nets.decoder.token_blocks, *self._nets.decoder.frame_blocks)

    # ------------------------------------------------------------------------------------------------------- training
    def closest_voice(self, utterances: Sequence[Utterance]) -> str:
        """The base voice whose pitch is closest, on a log scale, to the median pitch of the utterances."""
        voices = self._nets.config.voices
        step = max(1, len(utterances) // LISTENED_UTTERANCES)
        heard = [_pitch_hz(utterance) for utterance in utterances[::step]]
        voiced = [f0_hz for f0_hz in heard if not math.isnan(f0_hz)]
        if not voiced:
            return voices[0].name
        pitch = math.log(statistics.median(voiced))
        return min(voices, key=lambda voice: abs(math.log(voice.f0_hz) - pitch)).name

    def features(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Example]:
        """One training example an utterance, in order. Give all utterances of a speaker together: tokens are taken
        relative to the speaker's mean spectrum and pitch over them.
        """
        return feature_cache.examples(utterances, self._nets, self.base_sha256, cache)

    def measure(self, utterances: Sequence[Utterance], cache: Path) -> None:
        """Put the spectra and phonemes of these clips into `cache`, where they are not there yet."""
        feature_cache.measure(utterances, self._nets, self.base_sha256, cache)

    def voice_settings(self, examples: Sequence[Example], voice: str) -> Mapping[str, float]:
        """The target's clock: how many tokens its phonemes last, relative to the training average."""
        tokens = sum(len(example.tokens) for example in examples)
        expected = sum(self._vocabulary.expected_tokens(example.phonemes) for example in examples)
        return {CLOCK: tokens / max(1e-3, expected)}

    def length(self, example: Example) -> int:
        """Ids of an example: phonemes, tokens and the three that frame them."""
        return len(example.phonemes) + len(example.tokens) + 3

    def loss_tokens(self, example: Example) -> int:
        """Speech tokens and EOS: what the language model's cross entropy is a mean over."""
        return len(example.tokens) + 1

    def loss(
        self, examples: Sequence[Example], voice: str, parts: Sequence[str], seed: int | None
    ) -> Mapping[str, Tensor]:
        """`lm`: cross entropy of tokens and EOS in nats. `decoder`: spectrum, F0, voicing and what the ear makes of
        them.

        With a seed, clocks are jittered and dropout is on, both following that seed alone; without one nothing is
        random.
        """
        speaker = self._voice(voice).speaker
        draw = random.Random(0 if seed is None else seed)
        losses: dict[str, Tensor] = {}
        with self._mode(parts, seed):
            if "lm" in parts:
                losses["lm"] = self._lm_loss(examples, speaker, None if seed is None else draw)
            if "decoder" in parts:
                losses["decoder"] = self._decoder_loss(examples, speaker, draw)
        return losses

    def _lm_loss(self, examples: Sequence[Example], speaker: int, draw: random.Random | None) -> Tensor:
        items = [tuning.language_item(self._nets, example, speaker) for example in examples]
        batch = language_model.collate(items, self._vocabulary, draw, CLOCK_JITTER)
        moved = {field.name: getattr(batch, field.name).to(self.device) for field in dataclasses.fields(batch)}
        with self._fast_products():
            return language_model.loss(self._nets.language_model, language_model.Batch(**moved))["tokens"]

    def _decoder_loss(self, examples: Sequence[Example], speaker: int, draw: random.Random) -> Tensor:
        crops = sum(math.ceil(len(example.tokens) / CROP_TOKENS) for example in examples)
        tokens, target = (x.to(self.device) for x in tuning.decoder_crops(examples, crops, CROP_TOKENS, draw))
        decoder = self._nets.decoder
        with self._fast_products():
            output = decoder(decoder.quantiser.values(tokens), torch.full((crops,), speaker, device=self.device))
        # Outside of it: log mels in bfloat16 would be as coarse as the errors that are to be learned from.
        return codec.decoder_loss(output.float(), target, self._nets.config.normalisation, self._ear)["total"]

    def _fast_products(self) -> torch.autocast:
        """bfloat16 products where the device has them, or the caller asks for them; emulated ones are many times slower
        than float32.
        """
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=_has_bfloat16(kind) or torch.is_autocast_enabled(kind))

    @contextmanager
    def _mode(self, parts: Sequence[str], seed: int | None) -> Iterator[None]:
        """Dropout on and seeded when there is a seed; the global generators are left as they were."""
        devices = [self.device] if self.device.startswith("cuda") else []
        modules = [self._parts[name] for name in parts]
        with torch.random.fork_rng(devices):
            if seed is not None:
                torch.manual_seed(seed)
            for module in modules:
                module.train(seed is not None)
            try:
                yield
            finally:
                for module in modules:
                    module.eval()

    # ------------------------------------------------------------------------------------------------------- speaking
    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render all rows in one batch. Row i's audio depends on row i alone: its noise comes from its own generators.

        Raises BadInput for a text that cannot be said, NotFound for an unknown voice, Refused for a row with an
        adapter when there is no mixer to serve it.
        """
        if mixer is None and any(row.adapter_sha256 is not None and row.lora_scale for row in rows):
            raise Refused("A row names an adapter and nothing serves adapters; speak through an AdapterHost.")
        prompts = [self._prompt(row) for row in rows]

        def serving(indices: Sequence[int]) -> AbstractContextManager[None]:
            return mixer.using([rows[index] for index in indices]) if mixer else nullcontext()

        started = time.perf_counter()
        drawn = generation.generate(self._nets.language_model, self._vocabulary, prompts, serving, self.on_step)
        share_sec = (time.perf_counter() - started) / max(1, len(rows))
        spoken: list[Speech] = []
        for index, row in enumerate(rows):
            started = time.perf_counter()
            with serving([index]):
                samples = self._samples(row, drawn[index])
            spoken.append(
                Speech(
                    samples=samples,
                    sample_rate=self.sample_rate,
                    tokens=len(drawn[index].codes),
                    stop=drawn[index].stop or Stop.CAP,
                    render_sec=share_sec + time.perf_counter() - started,
                )
            )
        return spoken

    def _prompt(self, row: SpeakRow) -> Prompt:
        voice = self._voice(row.voice)
        ids = self._pronounced(row.text)
        clock = self._clock(row, voice.clock)
        cap = max(
            MIN_CAP,
            math.ceil(row.settings.max_factor * self._vocabulary.expected_tokens(ids, clock)),
        )
        if len(ids) + cap >= MAX_POSITIONS:
            raise BadInput(f"The text {row.text[:40]!r}… is too long to be said in one go; split it into chunks first.")
        return Prompt(
            ids=self._vocabulary.prefix_ids(ids, voice.speaker),
            positions=self._vocabulary.prefix_positions(ids, clock),
            cap=cap,
            seed=row.seed,
            settings=row.settings,
        )

    def _pronounce(self, text: str) -> tuple[int, ...]:
        try:
            return tuple(self._inventory.encode(phonemes.pronounce(text).symbols))
        except phonemes.UnpronounceableText as error:
            raise BadInput(f"{text[:60]!r} cannot be said: {error}.") from error

    def _clock(self, row: SpeakRow, base: float) -> float:
        if row.adapter_sha256 is None:
            return base
        return tuning.clock_at(base, row.voice_settings.get(CLOCK, base), row.lora_scale)

    @torch.inference_mode()
    def _samples(self, row: SpeakRow, drawn: Drawn[int]) -> NDArray[np.float32]:
        if not drawn.codes:  # it stopped before it began: one token of silence
            return np.zeros(codec.FRAMES_PER_TOKEN * acoustics.HOP, np.float32)
        generator = torch.Generator().manual_seed(row.seed + VOCODER_STREAM)
        tokens = torch.tensor(drawn.codes, device=self.device)
        samples = self._nets.render(tokens, self._voice(row.voice).speaker, generator)
        rendered: NDArray[np.float32] = samples.clamp(-1, 1).cpu().numpy()
        return rendered

    def _voice(self, name: str) -> weights.BaseVoice:
        try:
            return self._nets.config.voice(name)
        except KeyError as error:
            raise NotFound(f"{error.args[0]}; pick one of them.") from error


def _pitch_hz(utterance: Utterance) -> float:
    samples, _ = audio.read(utterance.audio_path, SAMPLE_RATE)
    return acoustics.median_f0_hz(torch.from_numpy(samples))


def _has_bfloat16(kind: str) -> bool:
    """Whether bfloat16 products are native."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
