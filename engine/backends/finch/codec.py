"""The codec: speech features to 25 Hz tokens, and tokens with a speaker back to features.

The encoder sees speaker-normalised features and is trained so that a token says what was spoken
rather than by whom; the decoder's speaker embedding says by whom. LoRA trains the decoder's Linear
layers (`DECODER_LORA_TARGETS`) with `decoder_loss`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.backends.finch import acoustics
from engine.backends.finch.acoustics import FEATURES, Normalisation
from engine.backends.finch.ear import Ear, normalise_mel
from engine.backends.finch.layers import ConvNeXtBlock, FiniteScalarQuantiser

FRAMES_PER_TOKEN = 4
DECODER_LORA_TARGETS = (
    "speaker_projection",
    "speaker_to_frames",
    "input_projection",
    "upsample",
    "output_projection",
    "expand",
    "contract",
)


@dataclass(frozen=True)
class CodecConfig:
    """Sizes of encoder and decoder."""

    levels: tuple[int, ...] = (8, 5, 5, 5)
    width: int = 192
    encoder_blocks: int = 3
    decoder_blocks: int = 5
    frame_width: int = 128
    frame_blocks: int = 2
    speaker_width: int = 64
    speakers: int = 8


class Encoder(nn.Module):
    """Speaker-normalised features (b, frames, 30) to tokens (b, frames // 4)."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.input_projection = nn.Linear(FEATURES * FRAMES_PER_TOKEN, config.width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.width, 5) for _ in range(config.encoder_blocks))
        self.output_projection = nn.Linear(config.width, len(config.levels))
        self.quantiser = FiniteScalarQuantiser(config.levels)

    def unrounded(self, features: Tensor) -> Tensor:
        """What is about to be quantised, (b, frames // 4, dims), unbounded."""
        rows, frames, columns = features.shape
        tokens = frames // FRAMES_PER_TOKEN
        stacked = features[:, : tokens * FRAMES_PER_TOKEN]
        hidden = self.input_projection(stacked.reshape(rows, tokens, columns * FRAMES_PER_TOKEN))
        for block in self.blocks:
            hidden = block(hidden)
        out: Tensor = self.output_projection(hidden).float()
        return out

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised values (b, frames // 4, dims) in [-1, 1], and tokens (b, frames // 4)."""
        values, tokens = self.quantiser(self.unrounded(features))
        return values, tokens

    @torch.inference_mode()
    def tokens(self, features: Tensor) -> Tensor:
        """Tokens (frames // 4,) of one utterance's speaker-normalised features (frames, 30)."""
        found: Tensor = self(features[None])[1][0]
        return found


class Decoder(nn.Module):
    """Token values and a speaker to normalised features: columns as in `acoustics.FEATURES`.

    The voicing column holds logits. Rows of different lengths are decoded one by one.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.quantiser = FiniteScalarQuantiser(config.levels)
        self.speakers = nn.Embedding(config.speakers, config.speaker_width)
        self.speaker_projection = nn.Linear(config.speaker_width, config.width)
        self.input_projection = nn.Linear(len(config.levels), config.width)
        self.token_blocks = nn.ModuleList(ConvNeXtBlock(config.width, 7) for _ in range(config.decoder_blocks))
        self.upsample = nn.Linear(config.width, FRAMES_PER_TOKEN * config.frame_width)
        self.speaker_to_frames = nn.Linear(config.width, config.frame_width)
        self.frame_blocks = nn.ModuleList(ConvNeXtBlock(config.frame_width, 7) for _ in range(config.frame_blocks))
        self.output_projection = nn.Linear(config.frame_width, FEATURES)

    def forward(self, values: Tensor, speaker: Tensor) -> Tensor:
        """`values` (b, tokens, dims) in [-1, 1], `speaker` (b,) ids -> (b, 4 * tokens, 30)."""
        rows, tokens, _ = values.shape
        voice = self.speaker_projection(self.speakers(speaker))[:, None]
        hidden = self.input_projection(values) + voice
        for block in self.token_blocks:
            hidden = block(hidden, voice)
        hidden = self.upsample(hidden).reshape(rows, tokens * FRAMES_PER_TOKEN, -1)
        frame_voice = self.speaker_to_frames(voice)
        for block in self.frame_blocks:
            hidden = block(hidden, frame_voice)
        out: Tensor = self.output_projection(hidden)
        return out

    def decode(self, tokens: Tensor, speaker: int) -> Tensor:
        """Normalised features (4 * n, 30) of one utterance's tokens (n,)."""
        out: Tensor = self(self.quantiser.values(tokens)[None], torch.tensor([speaker]))[0]
        return out


@dataclass(frozen=True)
class DecoderLossWeights:
    """How the parts of `decoder_loss` are added up."""

    mel: float = 1.0
    log_f0: float = 2.0
    voicing: float = 0.5
    ear: float = 0.5


def decoder_loss(
    output: Tensor,
    target: Tensor,
    normalisation: Normalisation,
    ear: Ear | None = None,
    weights: DecoderLossWeights = DecoderLossWeights(),
) -> dict[str, Tensor]:
    """Named parts of the decoder's loss, `total` among them.

    `output` (b, frames, 30) is the decoder's, `target` (b, frames, 30) is
    `Normalisation.decoder_target` of the true features. `mel` is an L1 in nepers, `log_f0` an L1
    over voiced frames, `voicing` a cross entropy, `ear_features` the relative L1 between what the
    frozen ear's layers make of both, `ear_posteriors` the KL divergence of its posteriors.
    """
    basis = acoustics.cosine_basis().to(output.device)
    made = normalisation.raw_cepstra(output.float()) @ basis.T
    true = normalisation.raw_cepstra(target.float()) @ basis.T
    voiced = target[..., acoustics.VOICING_COLUMN]
    f0_error = (output[..., acoustics.F0_COLUMN] - target[..., acoustics.F0_COLUMN]).abs()
    parts = {
        "mel": (made - true).abs().mean(),
        "log_f0": (f0_error * voiced).sum() / voiced.sum().clamp(min=1),
        "voicing": functional.binary_cross_entropy_with_logits(
            output[..., acoustics.VOICING_COLUMN].float(), voiced.float()
        ),
    }
    total = weights.mel * parts["mel"] + weights.log_f0 * parts["log_f0"]
    total = total + weights.voicing * parts["voicing"]
    if ear is not None and weights.ear:
        parts["ear_features"], parts["ear_posteriors"] = _ear_loss(ear, made, true)
        total = total + weights.ear * (parts["ear_features"] + parts["ear_posteriors"])
    parts["total"] = total
    return parts


def _ear_loss(ear: Ear, made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """What the ear makes of both log mels (b, frames, 60), less the true one's mean; in bfloat16."""
    mean = true.mean(-2, keepdim=True)
    with torch.autocast(made.device.type, torch.bfloat16):
        layers, logits = ear.hear(normalise_mel(made, mean))
        with torch.no_grad():
            true_layers, true_logits = ear.hear(normalise_mel(true, mean))
    feature_loss = torch.stack(
        [
            (a.float() - b.float()).abs().mean() / b.float().abs().mean()
            for a, b in zip(layers, true_layers, strict=True)
        ]
    ).mean()
    divergence = functional.kl_div(logits.float().log_softmax(-1), true_logits.float().softmax(-1), reduction="none")
    return feature_loss, divergence.sum(-1).mean()
