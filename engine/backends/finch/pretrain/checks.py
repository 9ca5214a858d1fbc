"""The gates of single stages: phoneme error rates of copy synthesis on held-out text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.backends.finch.acoustics import SpeakerStatistics
from engine.backends.finch.codec import Decoder, Encoder
from engine.backends.finch.ear import Listener
from engine.backends.finch.pretrain import voices
from engine.backends.finch.pretrain.data import Spoken, utter
from engine.backends.finch.pretrain.facts import Facts
from engine.backends.finch.vocoder import Vocoder

_TEXTS = 10


def render(decoder: Decoder, vocoder: Vocoder, tokens: Tensor, speaker: int, seed: int) -> Tensor:
    """Samples of tokens (n,) spoken by a speaker of the decoder."""
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        features = vocoder.normalisation.raw_features(decoder.decode(tokens, speaker))
    return vocoder.vocode(features, generator)


def unheard_utterances(name: str, texts: Sequence[str]) -> tuple[list[Spoken], SpeakerStatistics]:
    """What an unheard voice makes of `texts`, and its statistics over them."""
    spoken = [utter(text, voices.UNHEARD[name]) for text in texts]
    return spoken, SpeakerStatistics.measure(torch.cat([s.features for s in spoken]))


def codec_gate(
    encoder: Encoder,
    decoder: Decoder,
    vocoder: Vocoder,
    listener: Listener,
    facts: Facts,
    texts: Sequence[str],
) -> None:
    """Print PER of base voices copied, and of unheard voices' tokens in three base voices."""
    names = list(voices.BASE_VOICES)
    rates = []
    for index, name in enumerate(names):
        for text in texts[index * 4 : index * 4 + 4]:
            spoken = utter(text, voices.espeak_voice(name, 170))
            inputs = facts.normalisation.encoder_input(spoken.features, facts.speakers[name])
            samples = render(decoder, vocoder, encoder.tokens(inputs), index, 0)
            rates.append(listener.errors(samples, spoken.pronunciation.symbols).rate)
    print(f"codec: copy synthesis PER {sum(rates) / len(rates):.4f} (gate 0.05)", flush=True)
    for name in voices.UNHEARD:
        many, statistics = unheard_utterances(name, texts[40 : 40 + _TEXTS])
        for speaker in (0, 1, 3):
            rates = []
            for spoken in many:
                inputs = facts.normalisation.encoder_input(spoken.features, statistics)
                samples = render(decoder, vocoder, encoder.tokens(inputs), speaker, 0)
                rates.append(listener.errors(samples, spoken.pronunciation.symbols).rate)
            mean = sum(rates) / len(rates)
            print(f"codec: {name} as {names[speaker]} PER {mean:.4f} (gate 0.10)", flush=True)
