"""Presets of CosyVoice 1, 2 and 3. Nothing here was run by Earmark's authors: each names who says so."""

from __future__ import annotations

from dataclasses import replace

from engine.presets.making import full as _full
from engine.presets.making import lora_preflight as _lora_preflight
from engine.presets.making import preset as _preset
from engine.presets.making import small as _small
from engine.types import Preset, RunConfig

_COSY3 = RunConfig(
    backend="cosyvoice3",
    parts=("llm",),
    target_modules=("q_proj", "k_proj", "v_proj", "o_proj"),
    rank=16,
    alpha=64.0,
    learning_rate=5e-5,
    epochs=20,
    batch_tokens=2000,
    accumulation=2,
    max_grad_norm=5.0,
    precision="bf16",
)
_JOINT3 = replace(
    _COSY3,
    parts=("llm", "flow"),
    target_modules=(),
    rank=8,
    alpha=16.0,
    dropout=0.15,
    learning_rate=2e-4,
    warmup_steps=50,
    part_patience=3,
    train_loss_floor=1.5,
    stop_when=("talks_to_itself",),
)
_COSY_SOURCE = "instavar/cosyvoice3-lora-finetuning; Instavar, CosyVoice 3 LoRA rerun (2026)"


# Both parts for a voice that needs no audio prompt: the recipe that is known from version 1 alone.
_JOINT1 = RunConfig(
    backend="cosyvoice1",
    parts=("llm", "flow"),
    target_modules=("linear_q", "linear_k", "linear_v", "linear_out", "w_1", "w_2", "to_q", "to_k", "to_v"),
    rank=8,
    alpha=16.0,
    dropout=0.15,
    learning_rate=2e-4,
    warmup_steps=50,
    epochs=30,
    batch_tokens=3000,
    accumulation=2,
    max_grad_norm=5.0,
    part_patience=3,
    train_loss_floor=1.5,
    stop_when=("talks_to_itself",),
    precision="bf16",
)
_JOINT_SOURCE = "CosyVoice Flow LoRA fine-tune: debugging walkthrough (2025), chapters 4 and 5"
_LLM1 = replace(_JOINT1, parts=("llm",), part_patience=0)

COSYVOICE: tuple[Preset, ...] = (
    _preset(
        _JOINT1,
        "default",
        "Language model and flow of CosyVoice 1 together, for a voice that needs no audio prompt.",
        "Rank 8, alpha 16, dropout 0.15 and 2e-4 held back a model that talked to itself: below a loss of 1.5 nats it "
        "went on after the text, between 1.5 and 2.5 it was good. Its authors had rank 16 in the flow.",
        _JOINT_SOURCE,
    ),
    _preset(
        _LLM1,
        "llm",
        "The language model alone: how it is said. Speak it with a reference, or train the flow next.",
        "As the default's language model. What the flow learns does not depend on it.",
        f"{_JOINT_SOURCE}; apart is a judgement",
    ),
    _preset(
        replace(_JOINT1, parts=("flow",), dropout=0.05, learning_rate=1e-4, train_loss_floor=0.0, stop_when=()),
        "flow",
        "The flow alone: timbre. It hears the recordings' own tokens.",
        "Rank 8 at 1e-4; dropout 0.05 as its authors had it.",
        f"{_JOINT_SOURCE}; rate and rank are a judgement",
    ),
    _lora_preflight(_JOINT1),
    _preset(
        replace(_JOINT1, batch_tokens=600, accumulation=16, gradient_checkpointing=True, one_part_at_a_time=True),
        "small-gpu",
        "Language model and flow in one run on 8 GB: only the part at work is on the card.",
        "Batch 1 and 16 batches a step trained on a laptop's 8 GB, with clips cut to 2.9 s; here a clip of 10 s is a "
        "batch, layers are computed twice, and the parts take turns. Not measured on a card.",
        "CosyVoice Flow LoRA fine-tune: debugging walkthrough (2025), question 4",
    ),
    _full(
        replace(_LLM1, dropout=0.0, warmup_steps=0),
        learning_rate=1e-5,
        reason="1e-5 is upstream's for one speaker. Nobody reported numbers of such a run; hear epoch 1 first.",
        source="FunAudioLLM/CosyVoice examples/libritts/cosyvoice/conf/cosyvoice.yaml",
    ),
    _preset(
        _COSY3,
        "default",
        "LoRA of CosyVoice 3's language model on one speaker.",
        "Rank 16, alpha 64 on attention at 5e-5 went on improving for 12 epochs (validation 3.21 to 3.04) in 7 GB, "
        "where training all 506 million weights failed after epoch 1.",
        _COSY_SOURCE,
    ),
    _preset(
        replace(_COSY3, backend="cosyvoice2", alpha=32.0),
        "default",
        "LoRA of CosyVoice 2's language model on one speaker.",
        "As for version 3, with half of its strength: nobody reported numbers for version 2.",
        _COSY_SOURCE,
    ),
    _preset(
        _JOINT3,
        "joint",
        "Language model and flow together, for a voice that needs no audio prompt.",
        "Rank 8 and dropout 0.15 held back a model that talked to itself: below a train loss of 1.5 it went on "
        "after the text. That floor is CosyVoice 300M's; find another model's own.",
        "CosyVoice Flow LoRA fine-tune: debugging walkthrough (2025)",
    ),
    _preset(
        replace(
            _COSY3, parts=("flow",), target_modules=(), rank=8, alpha=16.0, learning_rate=1e-4, train_loss_floor=0.0
        ),
        "flow",
        "The flow alone: timbre, for a voice that needs no audio prompt. The second run where both do not fit.",
        "Attention alone with rank 8 at 1e-4. It hears the recordings' own tokens, so it does not depend on what the "
        "language model has learnt.",
        "CosyVoice Flow LoRA fine-tune: debugging walkthrough (2025); rate and rank are a judgement",
    ),
    _lora_preflight(_COSY3),
    _small(
        _COSY3,
        reason="Batch 1, 16 batches a step and rank 8 trained on a laptop's 8 GB; train language model and flow in two "
        "runs there, or one after the other in each step (joint-small-gpu).",
        source="CosyVoice Flow LoRA fine-tune: debugging walkthrough (2025), question 4",
    ),
    _preset(
        replace(_JOINT3, batch_tokens=300, accumulation=16, gradient_checkpointing=True, one_part_at_a_time=True),
        "joint-small-gpu",
        "Language model and flow in one run on 8 GB: only the part at work is on the card.",
        "As joint, with batch 1 and 16 batches a step. The parts share no gradient, so one after the other teaches the "
        "same; moving them costs time at every step. Not measured on a card.",
        "CosyVoice Flow LoRA fine-tune: debugging walkthrough (2025), question 4",
    ),
    _full(
        _COSY3,
        learning_rate=1e-5,
        reason="1e-5 is upstream's. The run that is known with it failed: the best epoch was the first, 43 checkpoints "
        "took 174 GB. Hear epoch 1 before anything else.",
        source=_COSY_SOURCE,
    ),
)
