"""What a backend needs of its training data, known without loading it and also where it is trained elsewhere.

Knows sample rates, limits and what upstream does with rows outside them, each with its source. Knows no audio.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from engine import backends
from engine.backends.backend_info import BackendInfo
from engine.types import BadInput, NotFound


@dataclass(frozen=True, kw_only=True)
class Needs:
    """`silently` says what upstream's own tools do with a row outside the limits; `source` where the numbers come from.

    `append_silence_sec` and `loudness_lufs` are the defaults of a preparation for this backend: 0 and None, each clip
    keeps its end and its level, unless its users found otherwise.
    """

    name: str
    title: str
    sample_rate: int  # Hz of the training audio
    min_sec: float
    max_sec: float
    languages: tuple[str, ...] = ()  # none: any
    silently: str = ""
    source: str = ""
    append_silence_sec: float = 0.0
    loudness_lufs: float | None = None
    known_tags: tuple[str, ...] = ()  # annotations that are tokens of the model and may stay in a text
    trainable_here: bool = False
    unpronounceable: Callable[[str], str | None] | None = None


# Tokens of CosyVoice's tokenizers (cosyvoice/tokenizer/tokenizer.py, 2 and 3): they may stay in a text.
_COSYVOICE_TAGS = tuple(
    "[breath] <strong> </strong> [noise] [laughter] [cough] [clucking] [accent] [quick_breath] <laughter> </laughter> "
    "[hissing] [sigh] [vocalized-noise] [lipsmack] [mn] <|endofprompt|>".split()
)
# Of version 1's tokenizer: which language follows (example.py).
_WHISPER_MARKS = ("<|zh|>", "<|en|>", "<|ja|>", "<|yue|>", "<|ko|>")
_COSYVOICE_SILENTLY = (
    "Its data pipeline drops rows below 1 s, above 30 s (they get no speech tokens), below 16 kHz and with more than "
    "200 text tokens without a word."
)
_COSYVOICE_SOURCE = (
    "FunAudioLLM/CosyVoice: cosyvoice/dataset/processor.py (filter, resample), examples/libritts/cosyvoice3/conf/"
    "cosyvoice3.yaml (min_length 100 and max_length 6000 frames of 10 ms, sample_rate 24000), "
    "tools/extract_speech_token.py (30 s)"
)

# Backends whose data is cleaned here and trained elsewhere. A limit without one upstream is said to be ours.
ELSEWHERE: tuple[Needs, ...] = (
    Needs(
        name="qwen3_tts",
        title="Qwen3-TTS",
        sample_rate=24_000,
        min_sec=0.5,
        max_sec=23.0,
        languages=("zh", "en", "ja", "ko", "de", "fr", "ru", "pt", "es", "it"),
        silently=(
            "Upstream drops nothing and has no limit: a row far from the others pads its whole batch, and a "
            "reference at another rate than 24 kHz stops the training at the first row that uses it."
        ),
        source=(
            "QwenLM/Qwen3-TTS: finetuning/prepare_data.py and finetuning/dataset.py (extract_mels asserts 24 kHz, "
            "collate_fn pads to the longest row); one second of silence at the end: QwenLM/Qwen3-TTS issue 39, as "
            "reported by users; the limits of 0.5 and 23 s are ours: with the silence, what its codec says in one piece"
        ),
        append_silence_sec=1.0,
    ),
    Needs(
        name="voxcpm",
        title="VoxCPM 1.5",
        sample_rate=44_100,
        min_sec=1.0,
        max_sec=30.0,
        languages=("zh", "en"),
        silently=(
            "With max_batch_tokens set, its trainer leaves out every row longer than max_batch_tokens / batch_size; "
            "rows with an empty text are trained on."
        ),
        source=(
            "OpenBMB/VoxCPM: scripts/train_voxcpm_finetune.py (max_batch_tokens), src/voxcpm/training/data.py; 44.1 "
            "kHz by the audio_vae_config of VoxCPM1.5; clips of 3 to 30 s with less than 0.5 s of silence at the end "
            "by its fine-tuning guide; the lower limit of 1 s is ours"
        ),
    ),
    Needs(
        name="voxcpm2",
        title="VoxCPM 2",
        sample_rate=16_000,
        min_sec=1.0,
        max_sec=30.0,
        silently=(
            "With max_batch_tokens set, its trainer leaves out every row longer than max_batch_tokens / batch_size; "
            "trained at 48 kHz, the rate that it speaks at, it learns a broken voice without an error in older scripts."
        ),
        source=(
            "OpenBMB/VoxCPM: AudioVAEConfigV2 (sample_rate 16000 is encoded, out_sample_rate 48000 is spoken), "
            "scripts/train_voxcpm_finetune.py; clips of 3 to 30 s by its fine-tuning guide; the lower limit of 1 s "
            "is ours"
        ),
    ),
    Needs(
        name="cosyvoice1",
        title="CosyVoice 1",
        sample_rate=22_050,
        min_sec=1.0,
        max_sec=30.0,
        languages=("zh", "en", "ja", "yue", "ko"),
        silently=(
            "Its data pipeline drops rows above 30 s (they get no speech tokens), below 16 kHz and with more than 200 "
            "text tokens without a word."
        ),
        source=(
            "FunAudioLLM/CosyVoice: cosyvoice/dataset/processor.py (filter, resample), examples/libritts/cosyvoice/"
            "conf/cosyvoice.yaml (sample_rate 22050), tools/extract_speech_token.py (30 s); the lower limit of 1 s is "
            "that of the later versions"
        ),
        known_tags=("[breath]", "[laughter]", "<strong>", "</strong>", "<laughter>", "</laughter>", *_WHISPER_MARKS),
    ),
    Needs(
        name="cosyvoice2",
        title="CosyVoice 2",
        sample_rate=24_000,
        min_sec=1.0,
        max_sec=30.0,
        silently=_COSYVOICE_SILENTLY,
        source=_COSYVOICE_SOURCE,
        known_tags=_COSYVOICE_TAGS,
    ),
    Needs(
        name="cosyvoice3",
        title="CosyVoice 3",
        sample_rate=24_000,
        min_sec=1.0,
        max_sec=30.0,
        silently=_COSYVOICE_SILENTLY,
        source=_COSYVOICE_SOURCE,
        known_tags=_COSYVOICE_TAGS,
    ),
    Needs(
        name="indextts2",
        title="IndexTTS2",
        sample_rate=24_000,
        min_sec=1.0,
        max_sec=36.0,
        languages=("zh", "en"),
        silently="Its sequence ends at 1815 speech tokens of 20 ms and 600 text tokens; what is beyond is not learned.",
        source=(
            "index-tts/index-tts: checkpoints/config.yaml (dataset.sample_rate 24000, gpt.max_mel_tokens 1815, "
            "gpt.max_text_tokens 600); the trainers are the community's (JarodMica/index-tts, training_v2)"
        ),
    ),
    Needs(
        name="pocket_tts",
        title="Pocket TTS",
        sample_rate=24_000,
        min_sec=0.5,
        max_sec=30.0,
        silently="",
        source="transformers 5.23: PocketTTSProcessor (24 kHz mono, 12.5 frames a second); the limits are ours",
    ),
    Needs(
        name="csm",
        title="CSM",
        sample_rate=24_000,
        min_sec=0.5,
        max_sec=30.0,
        languages=("en",),
        silently="",
        source="transformers 5.23: CsmProcessor (Mimi at 24 kHz); the limits are ours",
    ),
    Needs(
        name="dia",
        title="Dia",
        sample_rate=44_100,
        min_sec=0.5,
        max_sec=30.0,
        languages=("en",),
        silently="Its texts are at most 1024 bytes; what is beyond is cut off where truncation is asked for.",
        source=(
            "transformers 5.24: DiaProcessor (DAC at 44.1 kHz), DiaEncoderConfig (1024 positions); the limits are ours"
        ),
    ),
)


def names() -> tuple[str, ...]:
    """Backends that trains here first, then the others."""
    here = backends.names()
    return (*here, *(n.name for n in ELSEWHERE if n.name not in here))


def of(backend: str) -> Needs:
    """What a backend needs. Raises NotFound with the known names."""
    found = {n.name: n for n in ELSEWHERE}
    if backend in backends.INFO and (info := _info(backend, found.keys())):
        told = Needs(
            name=info.name, title=info.title, sample_rate=info.sample_rate, min_sec=info.min_sec, max_sec=info.max_sec
        )
        known = replace(
            found.get(backend, told), sample_rate=info.sample_rate, min_sec=info.min_sec, max_sec=info.max_sec
        )
        return replace(known, title=info.title, trainable_here=True, unpronounceable=info.unpronounceable)
    if backend not in found:
        raise NotFound(f"There is no backend named {backend!r}; known are: {', '.join(names())}.")
    return found[backend]


def _info(backend: str, elsewhere: Collection[str]) -> BackendInfo | None:
    """What the backend says of itself; None where its folder of weights is not named, or not whole, and its data can be
    cleaned all the same.
    """
    try:
        return backends.info(backend)
    except (NotFound, BadInput):
        if backend not in elsewhere:
            raise
        return None
