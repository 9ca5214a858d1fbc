"""IndexTTS2 as a `SpeechModel`: a GPT draws semantic codes after a reference, a flow and a vocoder make them sound.

Knows which of upstream's modules are trained (the GPT with its embeddings and heads), and that what hears references is
not: its answers are computed once. Knows neither adapters (a `RowMixer` serves them) nor files of runs. The GPT speaks
all rows in one batch; flow and vocoder follow row by row.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.backends.drawn_rows import Drawn
from engine.backends.indextts2 import (
    checkout,
    emotions,
    generation,
    hearing,
    info,
    loading,
    rendering,
    teaching,
)
from engine.backends.indextts2.feature_cache import FeatureCache
from engine.backends.indextts2.generation import Asked
from engine.backends.indextts2.hearing import Conditioning, Ears, Prompt, UpstreamEars
from engine.backends.indextts2.info import LANGUAGES, PARTS, PROJECTIONS, SPEAKING_RATE, ModelFolder
from engine.backends.indextts2.layout import Layout
from engine.backends.indextts2.loading import TRAINED, Nets
from engine.backends.indextts2.teaching import Example, Told
from engine.backends.speech_model import Capabilities, LoraPart, RowMixer
from engine.types import BadInput, GenerationSettings, Refused, SpeakRow, Speech, SpeechTokens, Stop, Utterance

REFERENCES = 8  # audio prompts that are remembered
# Where the harness expects nothing, a text token is about a quarter of a second; and half a second is given at least.
CODES_A_TOKEN, SPARE_CODES = 13, 25
LOSSES = ("codes", "text")


def load(name: str, folder: Path, device: str) -> IndexTts2Model:
    """IndexTTS2 with the weights in `folder` and the classes of the checkout that the environment names.

    `device` is "cpu", "cuda:0" and the like, or "auto": the first GPU if there is one. Raises NotFound, BadInput or
    Refused for a folder, a checkout or an environment that cannot be trusted.
    """
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    code = checkout.path(os.environ)
    found = info.read(folder)
    nets = loading.load(found, code, device)
    return IndexTts2Model(name, nets, UpstreamEars(found, code, device), found, info.base_sha256(found), device)


def must_be_usable() -> None:
    """Raises NotFound or Refused where transformers is missing or of a version that upstream does not go with."""
    loading.must_be_usable()


class IndexTts2Model:
    """IndexTTS2. The GPT can be trained; the encoders of references and emotions, the flow, the codec and the vocoder
    are frozen.
    """

    def __init__(self, name: str, nets: Nets, ears: Ears, folder: ModelFolder, sha256: str, device: str) -> None:
        self.name = name
        self.device = device
        self.base_sha256 = sha256
        self.sample_rate = SPEAKING_RATE
        self.capabilities = Capabilities(
            parts=PARTS, voices=emotions.VOICES, languages=LANGUAGES, full_sft=True, reference="required"
        )
        self.on_step: Callable[[int, int], None] | None = None
        self._nets = nets
        self._ears = ears
        self._folder = folder
        self._layout = Layout(nets.voice)
        self._gpt = nn.ModuleDict({each: getattr(nets.voice, each) for each in TRAINED})
        self._cache = FeatureCache(sha256, folder, measure=self._measure, ids=ears.text_ids, told=self._told)
        self._heard = functools.lru_cache(maxsize=REFERENCES)(self._hear)

    # ------------------------------------------------------------------------------------------------------- adapters
    def part(self, name: str) -> nn.Module:
        """The module of a LoRA part; adapters are injected into it in place."""
        return {PARTS[0]: self._gpt}[name]

    def lora_parts(self) -> tuple[LoraPart, ...]:
        """Attention and feed-forward of the GPT."""
        return (LoraPart(name=PARTS[0], target_modules=PROJECTIONS),)

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        """The transformer layers: what activations are kept for."""
        return tuple(self._nets.voice.gpt.h)

    # ------------------------------------------------------------------------------------------------------- training
    def closest_voice(self, utterances: Sequence[Utterance]) -> str:
        """The one whose emotion is its reference's."""
        return emotions.DEFAULT

    def measure(self, utterances: Sequence[Utterance], cache: Path) -> None:
        """Put these clips' codes and conditioning into `cache`, where they are not there yet."""
        for row in utterances:
            self._cache.measured(row.audio_path, row.id, cache)
            if row.reference_audio is not None:
                self._cache.measured(row.reference_audio, row.id, cache)

    def features(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Example]:
        """One training example an utterance, in order, each with a few other clips of its speaker as prompts."""
        return self._cache.examples(utterances, voice, cache)

    def voice_settings(self, examples: Sequence[Example], voice: str) -> Mapping[str, float]:
        """None: the reference says who speaks, and the voice's name with which emotion."""
        return {}

    def length(self, example: Example) -> int:
        """Positions of the sequence: conditioning, text, codes and the marks around them."""
        return example.positions

    def loss_tokens(self, example: Example) -> int:
        """Codes and the end: what the first loss is a mean over."""
        return len(example.codes) + 1

    def loss_names(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Both teach the one part."""
        return LOSSES

    def loss(
        self, examples: Sequence[Example], voice: str, parts: Sequence[str], seed: int | None
    ) -> Mapping[str, Tensor]:
        """`codes` and `text` in nats a token, unscaled; see `teaching.losses`. Dropout and which of its prompts an
        example is learned after follow `seed`; validation takes the first one.
        """
        chosen = [example.prompts[place] for example, place in zip(examples, _places(examples, seed), strict=True)]
        with self._mode(seed):
            return teaching.losses(self._nets.voice, examples, chosen)

    @contextmanager
    def _mode(self, seed: int | None) -> Iterator[None]:
        """Training mode follows `seed` and leaves the global generators as they were."""
        devices = [self.device] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices):
            if seed is not None:
                torch.manual_seed(seed)
            self._gpt.train(seed is not None)
            try:
                yield
            finally:
                self._gpt.eval()

    def _measure(self, path: Path) -> dict[str, Tensor]:
        heard = hearing.conditioning(path, self._ears, self._nets)
        codes = hearing.codes(path, self._ears, self._nets)
        return {"codes": codes.int(), "latents": heard.latents, "emotion": heard.emotion, "style": heard.style}

    def _told(self, heard: Conditioning, voice: str) -> Told:
        nets = self._nets
        own, style = heard.emotion.to(self.device), heard.style.to(self.device)
        mixed = emotions.vector(own, style, voice, emotions=nets.emotions, speakers=nets.speakers)
        return Told(heard.latents, mixed.cpu())

    # ------------------------------------------------------------------------------------------------------- speaking
    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render the rows: codes in one batch, then each row's sound. Row i's audio depends on row i alone.

        Raises BadInput for a text that cannot be said or a row without a reference, NotFound for an unknown voice,
        Refused for a row with an adapter when there is no mixer to serve it.
        """
        if mixer is None and any(row.adapter_sha256 is not None and row.lora_scale for row in rows):
            raise Refused("A row names an adapter and nothing serves adapters; speak through an AdapterHost.")
        if not rows:
            return []
        started = time.perf_counter()
        drawn = self.draw(rows, mixer)
        share_sec = (time.perf_counter() - started) / len(rows)
        spoken = []
        for row, one in zip(rows, drawn, strict=True):
            with mixer.using([row]) if mixer else nullcontext():
                spoken.append(self._speech(row, one, share_sec))
        return spoken

    def draw(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Drawn[int]]:
        """The semantic codes of every row, and how it ended."""

        def serving(some: Sequence[int]) -> AbstractContextManager[None]:
            return mixer.using([rows[place] for place in some]) if mixer else nullcontext()

        asked = []
        for row in rows:
            with mixer.using([row]) if mixer else nullcontext(), torch.inference_mode():
                asked.append(self._asked(row))
        return generation.generate(self._nets.voice, asked, serving, self.on_step)

    def _asked(self, row: SpeakRow) -> Asked:
        ids, told = self._text(row), self._told(self._prompt(row).conditioning, row.voice)
        expected = row.expected_sec * info.CODES_A_SECOND or len(ids) * CODES_A_TOKEN
        cap = math.ceil(expected * row.settings.max_factor) + SPARE_CODES
        inputs = self._layout.before(told.latents, told.emotion, ids)
        return Asked(inputs=inputs, cap=min(cap, self._folder.max_codes), row=row)

    def _text(self, row: SpeakRow) -> list[int]:
        if info.unpronounceable(row.text):
            raise BadInput(f"The text {row.text!r} has nothing to say; give it words.")
        ids = self._ears.text_ids(row.text)
        if not ids or len(ids) > self._folder.max_text:
            raise BadInput(
                f"The text {row.text[:60]!r} has {len(ids)} tokens, and from 1 to {self._folder.max_text} can be said "
                "at once; split it or give it words."
            )
        return ids

    def _prompt(self, row: SpeakRow) -> Prompt:
        if row.reference is None:
            raise BadInput("IndexTTS2 speaks only after a reference: choose a recording of the voice.")
        return self._heard(row.reference.audio_path)

    def _hear(self, path: Path) -> Prompt:
        return hearing.prompt(path, self._ears, self._nets)

    def _speech(self, row: SpeakRow, drawn: Drawn[int], share_sec: float) -> Speech:
        started = time.perf_counter()
        prompt = self._prompt(row)
        told = self._told(prompt.conditioning, row.voice)
        codes = drawn.codes or [0]  # one that stops before it began still has a place in time
        with torch.inference_mode():
            before = self._layout.before(told.latents, told.emotion, self._text(row))
        states = rendering.states(self._nets.voice, before, codes)
        samples = rendering.samples(self._nets, codes, states, prompt, seed=row.seed)
        return Speech(
            samples=samples if drawn.codes else samples * 0,
            sample_rate=self.sample_rate,
            tokens=len(drawn.codes),
            stop=drawn.stop or Stop.CAP,
            render_sec=share_sec + time.perf_counter() - started,
            speech_tokens=SpeechTokens(said=tuple(drawn.codes), reference=prompt.codes, rate_hz=info.CODES_A_SECOND),
        )

    # ---------------------------------------------------------------------------------------------------------- check
    def agreement(self, text: str, voice: str, *, codes: int = 24) -> float:
        """The share of greedily spoken codes that the training step predicts where it puts them: 1.0 when training
        teaches what is spoken, whatever the weights are. Spoken after a conditioning of noise: it needs no recording.
        """
        settings = GenerationSettings(temperature=0.0, repetition_penalty=1.0)
        row = SpeakRow(text=text, voice=voice, seed=0, settings=settings)
        voice_net = self._nets.voice
        width = voice_net.text_embedding.weight.shape[1]
        noise = torch.randn(voice_net.cond_num + 1, width, generator=torch.Generator().manual_seed(0))
        ids = self._text(row)
        with torch.inference_mode():
            inputs = self._layout.before(noise[1:], noise[0], ids)
        drawn = generation.generate(voice_net, [Asked(inputs, codes, row)], lambda _rows: nullcontext())[0]
        told = Told(noise[1:], noise[0])
        return teaching.agreement(voice_net, Example("", tuple(ids), torch.tensor(drawn.codes), (told,)))


def _places(examples: Sequence[Example], seed: int | None) -> list[int]:
    """Which of its prompts each example is learned after."""
    if seed is None:
        return [0] * len(examples)
    generator = torch.Generator().manual_seed(seed)
    return [int(torch.randint(len(example.prompts), (1,), generator=generator)) for example in examples]
