"""A stand-in for upstream's IndexTTS2 classes: the same modules under the same names, small, without their checkout.

It keeps the contract that `engine/backends/indextts2` relies on, so that its own code is tested where upstream's
classes cannot be imported; that the contract is the real one is what the tests of the voice's own environment show. Its
GPT-2 is transformers' own, as upstream's is.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2Model

from engine.backends.indextts2 import info
from engine.backends.indextts2.loading import MELS, STYLE_SIZE, Nets
from engine.backends.indextts2.speech_model import IndexTts2Model
from tests import indextts2_factory
from tests.indextts2_factory import CODES, EMOTIONS, LATENTS, NAME, STATES, TEXT_TOKENS, WIDTH, StandInEars

FRAME = 256  # samples


def make(folder: Path, *, seed: int = 3) -> Path:
    """A model folder as people bring it: the GPT's weights, and others that say nothing but their own hash."""
    indextts2_factory.describe(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.save(Voice().state_dict(), folder / "gpt.pth")
    for file in info.described(folder).files:
        if not file.exists():
            file.write_bytes(f"{file.name} {seed}".encode())
    return folder


def load(folder: Path, *, seed: int = 3) -> IndexTts2Model:
    """The backend's own model over the stand-in."""
    found = info.read(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        voice = Voice()
        voice.load_state_dict(torch.load(found.file("gpt_checkpoint"), weights_only=True))
        nets = Nets(
            voice=voice,
            s2mel=S2Mel(),
            codec=Codec(),
            vocoder=Vocoder(),
            emotions=tuple(torch.randn(sum(EMOTIONS), WIDTH).split(EMOTIONS)),
            speakers=tuple(torch.randn(sum(EMOTIONS), STYLE_SIZE).split(EMOTIONS)),
        )
    for net in (nets.voice, nets.s2mel, nets.codec, nets.vocoder):
        net.eval().requires_grad_(False)
    return IndexTts2Model(NAME, nets, StandInEars(), found, info.base_sha256(found), "cpu")


class Places(nn.Module):
    """`LearnedPositionEmbeddings`."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(places, WIDTH)


class Gpt(GPT2Model):
    """Without tables: what it is given are embeddings."""

    def __init__(self, layers: int, heads: int) -> None:
        super().__init__(GPT2Config(vocab_size=8, n_positions=1024, n_embd=WIDTH, n_layer=layers, n_head=heads))
        del self.wpe, self.wte
        self.wpe = lambda places: torch.zeros(*places.shape, WIDTH)

    def forward(self, past_key_values: Any = None, **given: Any) -> Any:
        """Upstream's name for the cache; transformers has another one now."""
        return super().forward(cache=past_key_values, **given)


class Voice(nn.Module):
    """`UnifiedVoice`, as far as the backend asks it."""

    def __init__(self) -> None:
        super().__init__()
        told = indextts2_factory.config()["gpt"]
        for name in ("start_text_token", "stop_text_token", "start_mel_token", "stop_mel_token"):
            setattr(self, name, told[name])
        self.cond_num = LATENTS
        self.text_embedding = nn.Embedding(TEXT_TOKENS + 1, WIDTH)
        self.mel_embedding = nn.Embedding(CODES + 2, WIDTH)
        self.gpt = Gpt(told["layers"], told["heads"])
        self.mel_pos_embedding = Places(told["max_mel_tokens"] + 3)
        self.text_pos_embedding = Places(told["max_text_tokens"] + 2)
        self.final_norm = nn.LayerNorm(WIDTH)
        self.text_head = nn.Linear(WIDTH, TEXT_TOKENS + 1)
        self.mel_head = nn.Linear(WIDTH, CODES + 2)
        self.speed_emb = nn.Embedding(2, WIDTH)
        self.conditioning_encoder = nn.Linear(STATES, LATENTS * WIDTH)
        self.emo_conditioning_encoder = nn.Linear(STATES, WIDTH)
        indextts2_factory.make_lively(self)

    def get_conditioning(self, states: Tensor, lengths: Tensor) -> Tensor:
        """(rows, 32, width) of states (rows, 1024, frames)."""
        assert states.shape[2] == int(lengths[0])
        found: Tensor = self.conditioning_encoder(states.mean(2)).view(-1, LATENTS, WIDTH)
        return found

    def get_emovec(self, states: Tensor, lengths: Tensor) -> Tensor:
        """(rows, width) of states (rows, frames, 1024)."""
        assert states.shape[1] == int(lengths[0])
        found: Tensor = self.emo_conditioning_encoder(states.mean(1))
        return found


class Codec(nn.Module):
    """`RepCodec`: the nearest of its codes, and what they stand for."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(CODES, STATES)
        self.quantizer = SimpleNamespace(vq2emb=lambda codes: self.table(codes[:, 0]).transpose(1, 2))

    def quantize(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (rows, frames) and (rows, frames, 1024)."""
        codes = (states @ self.table.weight.T).argmax(2)
        return codes, self.table(codes)


class Regulator(nn.Module):
    """`InterpolateRegulator`: contents stretched to frames."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(STATES, 32)

    def forward(self, content: Tensor, ylens: Tensor, n_quantizers: int, f0: None) -> tuple[Tensor, None]:
        frames = int(ylens.max())
        return self.out(nn.functional.interpolate(content.transpose(1, 2), size=frames).transpose(1, 2)), None


class Flow(nn.Module):
    """`CFM`: one step of a linear map is enough to follow noise, prompt, condition and style."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(32, MELS)
        self.of_style = nn.Linear(STYLE_SIZE, MELS)

    def solve_euler(
        self,
        noise: Tensor,
        lengths: Tensor,
        prompt: Tensor,
        condition: Tensor,
        style: Tensor,
        f0: None,
        times: Tensor,
        guidance: float,
    ) -> Tensor:
        assert noise.shape[2] == condition.shape[1] == int(lengths[0])
        found = noise + self.inner(condition).transpose(1, 2) + self.of_style(style)[:, :, None]
        found[:, :, : prompt.shape[2]] = 0
        return found


class S2Mel(nn.Module):
    """`MyModel`."""

    def __init__(self) -> None:
        super().__init__()
        parts = {"cfm": Flow(), "length_regulator": Regulator(), "gpt_layer": nn.Linear(WIDTH, STATES)}
        self.models = nn.ModuleDict(parts)


class Vocoder(nn.Module):
    """`BigVGAN`: 256 samples a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(MELS, FRAME)

    def forward(self, mel: Tensor) -> Tensor:
        wave: Tensor = 0.3 * torch.tanh(self.out(mel.transpose(1, 2)))
        return wave.flatten()[None, None]
