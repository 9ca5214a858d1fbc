"""VoxCPM as a `SpeechModel`: what training and speaking ask of it, over upstream's own classes.

Knows which of their modules make a part, and that losses and rows follow their seeds alone. Knows neither adapters (a
`RowMixer` serves them) nor files of runs. Upstream keeps one cache of keys and values for one text, so rows are spoken
one after the other.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine import audio
from engine.backends.drawn_rows import OnStep
from engine.backends.speech_model import Capabilities, LoraPart, RowMixer
from engine.backends.voxcpm import generation, info, loading, sequences
from engine.backends.voxcpm.feature_cache import FeatureCache
from engine.backends.voxcpm.info import ATTENTION, PARTS, PROJECTIONS, VOICE, ModelFolder
from engine.backends.voxcpm.sequences import Example
from engine.types import BadInput, NotFound, Reference, Refused, SpeakRow, Speech, Utterance

REFERENCES = 8  # audio prompts whose latents are remembered
DIFFUSION, STOP = "diff", "stop"  # the losses, by upstream's names


def load(name: str, folder: Path, device: str) -> VoxcpmModel:
    """VoxCPM with the weights in `folder`. `device` is "cpu", "cuda:0" and the like, or "auto": the first GPU if there
    is one. Raises NotFound or BadInput for a folder that is not whole or not this model's.
    """
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    found = info.read(name, folder)
    return VoxcpmModel(loading.load(found, device), found, info.base_sha256(found), device)


class VoxcpmModel:
    """VoxCPM 1.x or 2. Language models, diffusion head and what joins them can be trained; the codec is frozen."""

    def __init__(self, net: Any, folder: ModelFolder, sha256: str, device: str) -> None:
        self.name = folder.name
        self.device = device
        self.base_sha256 = sha256
        self.on_step: OnStep | None = None
        self.sample_rate = folder.speak_rate
        self.capabilities = Capabilities(
            parts=PARTS,
            voices=(VOICE,),
            languages=info.LANGUAGES[folder.name],
            full_sft=True,
            reference="optional",
            mixes_rows=False,
        )
        self._net = net
        self._folder = folder
        self._parts = _parts(net)
        self._cache = FeatureCache(
            sha256,
            encode=self._encode,
            tokenize=lambda text: net.text_tokenizer(generation.clean(text)),
            max_length=folder.max_length,
            takes_references=self._is_second,
        )
        self._prompt = functools.lru_cache(maxsize=REFERENCES)(self._make_prompt)

    @property
    def _is_second(self) -> bool:
        return self.name == "voxcpm2"

    # ------------------------------------------------------------------------------------------------------- adapters
    def part(self, name: str) -> nn.Module:
        """The module of a LoRA part; adapters are injected into it in place."""
        return self._parts[name]

    def lora_parts(self) -> tuple[LoraPart, ...]:
        """Attention of both language models and of the diffusion head, and the projections between them: upstream's
        `enable_lm`, `enable_dit` and `enable_proj`.
        """
        targets = (ATTENTION, ATTENTION, PROJECTIONS[self.name])
        return tuple(LoraPart(name=part, target_modules=t) for part, t in zip(PARTS, targets, strict=True))

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        """The transformer layers of a part: what activations are kept for."""
        net = self._net
        layers = {
            "lm": (*net.base_lm.layers, *net.residual_lm.layers),
            "dit": tuple(net.feat_decoder.estimator.decoder.layers),
            "proj": tuple(net.feat_encoder.encoder.layers),
        }
        return layers[part]

    # ------------------------------------------------------------------------------------------------------- training
    def closest_voice(self, utterances: Sequence[Utterance]) -> str:
        """There is one: VoxCPM has no named voices."""
        return VOICE

    def features(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Example]:
        """One training example an utterance, in order. Version 2 also takes each row's reference audio."""
        return self._cache.examples(utterances, cache)

    def voice_settings(self, examples: Sequence[Example], voice: str) -> Mapping[str, float]:
        """None: all of the voice is in the weights."""
        return {}

    def length(self, example: Example) -> int:
        """Positions of the sequence: text tokens, patches of audio and the marks around them."""
        return example.positions

    def loss_tokens(self, example: Example) -> int:
        """Patches: what both losses are means over."""
        return len(example.patches)

    def loss_names(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Both losses teach every part: the diffusion loss through the hidden states, the stop loss likewise."""
        return (DIFFUSION, STOP)

    def loss(
        self, examples: Sequence[Example], voice: str, parts: Sequence[str], seed: int | None
    ) -> Mapping[str, Tensor]:
        """`diff`: mean squared error of the flow's velocity. `stop`: cross entropy of whether speech ends, in nats.

        With a seed, noise, times, dropped conditions and dropout follow it. Without one every example has noise and
        times of its own, which follow from its audio and text, and no condition is dropped: the figure does not depend
        on what shares a batch, and is the same for every checkpoint.
        """
        if seed is not None:
            with self._mode(seed, training=True):
                return self._losses(examples)
        with self._mode(None, training=False):
            found = []
            for example in examples:
                torch.manual_seed(int(example.key[:15], 16))
                found.append((self._losses([example]), self.loss_tokens(example)))
        total = sum(count for _, count in found)
        return {
            name: torch.stack([losses[name] * count for losses, count in found]).sum() / total
            for name in (DIFFUSION, STOP)
        }

    def _losses(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        batch = {name: tensor.to(self.device) for name, tensor in sequences.collate(examples).items()}
        found = self._net(**batch)
        return {DIFFUSION: found["loss/diff"].float(), STOP: found["loss/stop"].float()}

    @contextmanager
    def _mode(self, seed: int | None, *, training: bool) -> Iterator[None]:
        """Training mode follows `seed` and leaves the global generators as they were. All of the model is in it: the
        quantiser lets gradients through in this mode alone. Conditions are dropped in training only; upstream drops
        them in validation too.
        """
        devices = [self.device] if self.device.startswith("cuda") else []
        flow = self._net.feat_decoder
        rate = flow.training_cfg_rate
        with torch.random.fork_rng(devices):
            if seed is not None:
                torch.manual_seed(seed)
            self._net.train(training)
            self._net.audio_vae.eval()
            flow.training_cfg_rate = rate if training else 0.0
            try:
                yield
            finally:
                flow.training_cfg_rate = rate
                self._net.eval()

    @torch.no_grad()
    def _encode(self, path: Path, *, pad_left: bool = False) -> Tensor:
        """The latent patches (n, patch, dim) of a file, read at the rate that the codec hears."""
        net, rate = self._net, self._folder.encode_rate
        samples, _ = audio.read(path, rate)
        lacking = -len(samples) % self._folder.patch_samples
        wave = nn.functional.pad(torch.from_numpy(samples), (lacking, 0) if pad_left else (0, lacking))
        latents: Tensor = net.audio_vae.encode(wave.view(1, 1, -1).to(self.device), rate)
        return latents[0].float().cpu().T.reshape(-1, net.patch_size, net.feat_dim).contiguous().clone()

    # ------------------------------------------------------------------------------------------------------- speaking
    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render the rows one after the other. Row i's audio depends on row i alone.

        Raises BadInput for a text that cannot be said, NotFound for an unknown voice, Refused for a row with an
        adapter when there is no mixer to serve it.
        """
        if mixer is None and any(row.adapter_sha256 is not None and row.lora_scale for row in rows):
            raise Refused("A row names an adapter and nothing serves adapters; speak through an AdapterHost.")
        spoken = []
        for row in rows:
            with mixer.using([row]) if mixer else nullcontext():
                spoken.append(self._speak(row))
        return spoken

    def _speak(self, row: SpeakRow) -> Speech:
        if row.voice != VOICE:
            raise NotFound(
                f"{self.name} has no voice {row.voice!r}; its only one is {VOICE}, a reference makes others."
            )
        started = time.perf_counter()
        prompt = self._prompt(row.reference) if row.reference else None
        said = self.said(row.text, prompt, seed=row.seed, max_factor=row.settings.max_factor)
        return Speech(
            samples=said.samples,
            sample_rate=self.sample_rate,
            tokens=len(said.patches),
            stop=said.stop,
            render_sec=time.perf_counter() - started,
        )

    def said(self, text: str, prompt: Mapping[str, Any] | None, *, seed: int, max_factor: float) -> generation.Spoken:
        """A text as samples and as the patches that they come from."""
        return generation.speak(
            self._net, generation.clean(text), prompt, seed=seed, max_factor=max_factor, on_step=self.on_step
        )

    def _make_prompt(self, reference: Reference) -> Mapping[str, Any]:
        """Upstream's prompt cache. Version 2 takes the reference apart from the text, without its transcript; version 1
        goes on from it, and needs its words.
        """
        if self._is_second:
            return {"mode": "reference", "ref_audio_feat": self._encode(reference.audio_path)}
        if not reference.text.strip():
            raise BadInput(
                f"The reference {reference.audio_path.name} has no transcript, and VoxCPM 1 goes on from its words; "
                "give it, or use VoxCPM 2."
            )
        feats = self._encode(reference.audio_path, pad_left=True)
        return {"mode": "continuation", "prompt_text": generation.clean(reference.text), "audio_feat": feats}


def _parts(net: Any) -> dict[str, nn.Module]:
    """The modules of each part; together all that is trained, which is all but the codec."""
    joins = {"feat_encoder", "fsq_layer", "stop_proj", "stop_head"} | set(PROJECTIONS["voxcpm2"])
    return {
        "lm": nn.ModuleDict({"base_lm": net.base_lm, "residual_lm": net.residual_lm}),
        "dit": net.feat_decoder.estimator,
        "proj": nn.ModuleDict({name: one for name, one in net.named_children() if name in joins}),
    }
