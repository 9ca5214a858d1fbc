"""Presets of models that others made and measured. Nothing here was run by Earmark's authors: each names who says so.

They are offered once a backend of that name is there. A token is one position of the model's sequence, text included.
"""

from __future__ import annotations

from dataclasses import replace

from engine.presets.making import ALL_STEPS, INSTAVAR
from engine.presets.making import full as _full
from engine.presets.making import lora_preflight as _lora_preflight
from engine.presets.making import preset as _preset
from engine.presets.making import small as _small
from engine.types import Preset, RunConfig

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ATTENTION_AND_MLP = (*ATTENTION, "gate_proj", "up_proj", "down_proj")

# --------------------------------------------------------------------------------------------------------- Qwen3-TTS
_QWEN = RunConfig(
    backend="qwen3_tts",
    parts=("talker",),
    target_modules=ATTENTION_AND_MLP,
    rank=16,
    alpha=32.0,
    learning_rate=2e-6,
    epochs=10,
    batch_tokens=600,
    accumulation=4,
    precision="bf16",
)
_QWEN_SOURCE = "QwenLM/Qwen3-TTS issue 39; Instavar, Qwen3-TTS LoRA fine-tuning (2026)"
_QWEN_REASON = (
    "Rank 16, alpha 32, dropout 0.05 on attention and MLP of the talker. The official rate of 2e-5 is widely "
    "reported as too high: noise, speech without an end. A rate of 5e-6 ran away in two of two runs where 1e-6 "
    "stopped in three of three (Alexandria). All these were found with faulty losses, so sweep upward from here and "
    "judge several scales."
)

# ------------------------------------------------------------------------------------------------------------ VoxCPM
_VOXCPM = RunConfig(
    backend="voxcpm",
    parts=("lm", "dit"),
    target_modules=ATTENTION,
    rank=8,
    alpha=16.0,
    dropout=0.0,
    learning_rate=1e-4,
    epochs=ALL_STEPS,
    max_steps=9000,
    save_every=500,
    save_unit="steps",
    batch_tokens=2000,
    accumulation=4,
    warmup_steps=100,
    precision="bf16",
)
# Batches of 600 positions, as many a step as 1.5's: by the estimate that is what fits 24 GB beside the weights.
_VOXCPM2 = replace(_VOXCPM, backend="voxcpm2", rank=32, alpha=32.0, batch_tokens=600, accumulation=13)
_VOXCPM_WHOLE = ("lm", "dit", "proj")  # all but the codec
_VOXCPM_SOURCE = "OpenBMB/VoxCPM conf/voxcpm_v1.5 and conf/voxcpm_v2 (2026)"

# ------------------------------------------------------------------------------ transformers' own and IndexTTS2
_POCKET = RunConfig(
    backend="pocket_tts",
    parts=("lm",),
    target_modules=(*ATTENTION, "fc1", "fc2"),
    rank=16,
    alpha=32.0,
    learning_rate=1e-4,
    epochs=10,
)
_CSM = RunConfig(
    backend="csm",
    parts=("lm",),
    target_modules=ATTENTION,
    rank=16,
    alpha=32.0,
    learning_rate=5e-5,
    epochs=10,
    batch_tokens=2000,
    accumulation=4,
    precision="bf16",
)
_DIA = replace(_CSM, backend="dia", batch_tokens=2500)
_INDEX = RunConfig(
    backend="indextts2",
    parts=("gpt",),
    method="full",
    learning_rate=1e-5,
    epochs=20,
    save_every=1000,
    save_unit="steps",
    batch_tokens=8000,
    accumulation=2,
    warmup_steps=500,
    precision="bf16",
)
_INDEX_LORA = replace(
    _INDEX,
    method="lora",
    target_modules=("c_attn", "c_proj", "c_fc"),
    rank=16,
    alpha=32.0,
    learning_rate=5e-5,
    epochs=10,
    save_every=1,
    save_unit="epochs",
    batch_tokens=2000,
    accumulation=4,
    warmup_steps=100,
)


def _voxcpm_others(config: RunConfig) -> tuple[Preset, Preset]:
    reason = "Checkpointing every decoder layer gives the same gradients; upstream has none, so batches do the rest."
    return _lora_preflight(config), _small(config, reason=reason, source=_VOXCPM_SOURCE)


UPSTREAM: tuple[Preset, ...] = (
    _preset(_QWEN, "default", "LoRA of the 1.7B model on 10 to 30 minutes of speech.", _QWEN_REASON, _QWEN_SOURCE),
    _preset(
        replace(_QWEN, batch_tokens=1200, accumulation=2),
        "0.6b",
        "LoRA of the 0.6B model on 10 to 30 minutes of speech.",
        f"{_QWEN_REASON} The smaller model has room for longer batches; its own best rate was not reported.",
        _QWEN_SOURCE,
    ),
    _lora_preflight(_QWEN),
    _small(
        _QWEN,
        reason="A T4 with 15 GB trained with checkpointing and accumulation; nothing smaller was reported.",
        source="QwenLM/Qwen3-TTS issues 179 and 188",
    ),
    _full(
        _QWEN,
        learning_rate=2e-6,
        reason="The README's own step-by-step command takes 2e-6 for all weights; 8-bit AdamW with checkpointing "
        "fitted 15 GB. Full runs without them took about 45 GB.",
        source="QwenLM/Qwen3-TTS README and issue 179",
    ),
    _preset(
        _VOXCPM,
        "default",
        "LoRA of VoxCPM 1.5 on 5 to 30 minutes of speech.",
        "Rank 8, alpha 16 and 1e-4 are upstream's. The best checkpoint of a 9000-step run was step 4000: save every "
        "500.",
        f"{_VOXCPM_SOURCE}; {INSTAVAR}",
    ),
    *_voxcpm_others(_VOXCPM),
    _full(
        replace(_VOXCPM, parts=_VOXCPM_WHOLE),
        learning_rate=1e-5,
        reason="1e-5 is upstream's, and so is training all but the codec. Upstream states about 24 GB without "
        "checkpointing and 8-bit states; what it takes with them nobody reported.",
        source=_VOXCPM_SOURCE,
    ),
    _preset(
        _VOXCPM2,
        "default",
        "LoRA of VoxCPM 2 on 5 to 30 minutes of speech.",
        "Rank 32, alpha 32 and 1e-4 are upstream's; an adapter takes about 70 MB, so each can be kept.",
        f"{_VOXCPM_SOURCE}; {INSTAVAR}",
    ),
    *_voxcpm_others(_VOXCPM2),
    _full(
        replace(_VOXCPM2, parts=_VOXCPM_WHOLE),
        learning_rate=1e-5,
        reason="1e-5 is upstream's. With one clip a batch, 8 batches a step, checkpointing and paged 8-bit AdamW "
        "the 2B model was trained on 24 GB in 5 hours; the best checkpoint by validation was step 2000 of 9000.",
    ),
    _preset(
        _INDEX,
        "default",
        "Full fine-tuning of IndexTTS2's language model, which is all that its trainers train.",
        "1e-5 with batches of 32 clips fitted 24 GB; step 14000 of 15949 was the best one. The encoders that hear the "
        "audio prompt and its emotion are frozen and get no gradient, with LoRA as well; so is what sounds the codes. "
        "Timbre comes from the prompt and from these.",
        "instavar/indextts2-finetuning; JarodMica/index-tts branch training_v2 (2026)",
    ),
    _preset(
        _INDEX_LORA,
        "lora",
        "LoRA of IndexTTS2's language model: checkpoints of megabytes, not gigabytes.",
        "Attention and feed-forward of its GPT-2, at CSM's rate for a model of that size: a judgement, not measured.",
        "engine/backends/indextts2",
    ),
    _preset(
        _POCKET,
        "default",
        "LoRA of Pocket TTS, small enough for a CPU.",
        "Attention and feed-forward, never its loss weighting. Rank and rate are what is usual for models of 100 "
        "million weights: a judgement, not measured.",
        "transformers 5.23, models/pocket_tts",
    ),
    _lora_preflight(_POCKET),
    _preset(
        _CSM,
        "default",
        "LoRA of CSM's backbone on 10 to 30 minutes of speech.",
        "Attention of the backbone alone, at CosyVoice 3's rate for a model of the same size: a judgement, not "
        "measured.",
        "transformers 5.23, models/csm",
    ),
    _lora_preflight(_CSM),
    _preset(
        _DIA,
        "default",
        "LoRA of Dia's decoder on 10 to 30 minutes of speech.",
        "Attention of the decoder, over audio and text, at CSM's rate for a model of the same size: a judgement, not "
        "measured.",
        "transformers 5.24, models/dia",
    ),
    _lora_preflight(_DIA),
)
