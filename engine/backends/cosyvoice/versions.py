"""What differs between CosyVoice 1, 2 and 3, in one place: file names, classes, what carries LoRA, what a row is told.

Knows names alone: no folder, no tensors. Whoever finds an `if` on a version elsewhere has found what belongs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FIRST, SECOND, THIRD = "cosyvoice1", "cosyvoice2", "cosyvoice3"
QWEN = "CosyVoice-BlankEN"
SPEAKERS = "spk2info.pt"
_QWEN_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_OWN_ATTENTION = ("linear_q", "linear_k", "linear_v", "linear_out")
_FLOW_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")  # `to_out` is a list whose first is the Linear


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version. `llm_targets` and `flow_targets` are the Linears that carry LoRA: attention alone."""

    name: str
    title: str
    yaml: str
    tokenizer: str  # the model that hears its speech tokens
    llm_class: str
    llm_targets: tuple[str, ...]
    flow_targets: tuple[str, ...]
    qwen: str  # the folder of the language model inside; "" where upstream's own class is all of it
    outputs: int  # of the language model, beside the speech tokens: its ends and marks
    languages: tuple[str, ...]
    end_of_prompt: str  # what ends an instruction
    assistant: str = ""  # what stands before every text
    knows_speakers: bool = False  # the language model is told who speaks, and the folder may bring voices
    prompt_apart: bool = False  # its class takes what stands before the text by itself
    shortens_silences: bool = False
    mel_ratio_told: bool = True  # its yaml says how many frames a token is

    @property
    def marks(self) -> int:
        """Positions of the language model's sequence that are neither text nor speech: start, speaker, task."""
        return 3 if self.knows_speakers else 2


VERSIONS: Mapping[str, Version] = {
    one.name: one
    for one in (
        Version(
            name=FIRST,
            title="CosyVoice 1",
            yaml="cosyvoice.yaml",
            tokenizer="speech_tokenizer_v1.onnx",
            llm_class="cosyvoice.llm.llm.TransformerLM",
            llm_targets=_OWN_ATTENTION,
            flow_targets=(*_FLOW_ATTENTION, *_OWN_ATTENTION),
            qwen="",
            outputs=1,
            languages=("zh", "en", "ja", "yue", "ko"),
            # as the Instruct model was taught (Du et al. 2024, arXiv:2407.05407, table 3): words, and no token
            end_of_prompt="<endofprompt>",
            knows_speakers=True,
            mel_ratio_told=False,
        ),
        Version(
            name=SECOND,
            title="CosyVoice 2",
            yaml="cosyvoice2.yaml",
            tokenizer="speech_tokenizer_v2.onnx",
            llm_class="cosyvoice.llm.llm.Qwen2LM",
            llm_targets=_QWEN_ATTENTION,
            flow_targets=(*_FLOW_ATTENTION, *_OWN_ATTENTION),
            qwen=QWEN,
            outputs=3,
            languages=("zh", "en", "ja", "ko", "de", "es", "fr", "it", "ru"),
            end_of_prompt="<|endofprompt|>",
        ),
        Version(
            name=THIRD,
            title="CosyVoice 3",
            yaml="cosyvoice3.yaml",
            tokenizer="speech_tokenizer_v3.onnx",
            llm_class="cosyvoice.llm.llm.CosyVoice3LM",
            llm_targets=_QWEN_ATTENTION,
            flow_targets=_FLOW_ATTENTION,
            qwen=QWEN,
            outputs=200,
            languages=("zh", "en", "ja", "ko", "de", "es", "fr", "it", "ru"),
            end_of_prompt="<|endofprompt|>",
            # upstream's template for every text (example.py); the language model wants the mark once in each
            assistant="You are a helpful assistant.",
            prompt_apart=True,
            shortens_silences=True,
        ),
    )
}


def of_yaml(names: frozenset[str]) -> Version | None:
    """The version whose yaml is among these files; the newest, where several are."""
    return next((one for one in reversed(tuple(VERSIONS.values())) if one.yaml in names), None)
