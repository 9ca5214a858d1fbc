"""What upstream's own code says and sounds like, where COSYVOICE_DIR names a checkout: the same as here."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import pytest
import torch

from engine.backends.cosyvoice import checkout, generation, rendering, speech_model
from engine.types import Reference
from tests import cosyvoice_factory
from tests.cosyvoice_factory import CODE, FIRST, GREEDY, SECOND, TEXTS, THIRD, row

pytestmark = pytest.mark.skipif(not cosyvoice_factory.IS_REAL, reason="COSYVOICE_DIR names no checkout")


def one_step(encoder: Any, xs: torch.Tensor, masks: Any, cache: Any = None) -> tuple[torch.Tensor, Any]:
    """Upstream's `forward_one_step` with a mask as long as what is seen; its own is as long as what is new."""
    seen = (cache.get_seq_length() if cache is not None else 0) + xs.shape[1]
    told = encoder.model(
        inputs_embeds=xs,
        attention_mask=torch.ones(1, seen, dtype=torch.bool),
        output_hidden_states=True,
        use_cache=True,
        cache=cache,
    )
    return told.hidden_states[-1], told.cache


def test_tokens_are_those_of_upstreams_own_decoding(model: speech_model.CosyVoiceModel, tmp_path: Path) -> None:
    """Greedy tokens of a batch, in which one row goes on from a reference, are those of upstream's `inference`, one
    text at a time, with its mask mended.
    """
    clip = cosyvoice_factory.make_utterances(tmp_path, count=1)[0].audio_path
    rows = [row(text, settings=GREEDY) for text in TEXTS]
    rows.append(replace(rows[0], reference=Reference(audio_path=clip, text="a cat", sha256="1")))
    asked = [replace(model._asked(one), least=0) for one in rows]
    ours = generation.generate(model._nets.llm, asked, rows, lambda places: nullcontext())
    llm: Any = model._nets.llm
    llm.sampling = lambda scores, *_: int(scores.argmax())
    if hasattr(llm.llm, "forward_one_step"):
        llm.llm.forward_one_step = MethodType(one_step, llm.llm)
    for one, drawn in zip(asked, ours, strict=True):
        told = llm.inference(
            text=torch.tensor([one.text]),
            text_len=torch.tensor([len(one.text)], dtype=torch.int32),
            prompt_text=torch.tensor([one.prompt], dtype=torch.long),
            prompt_text_len=torch.tensor([len(one.prompt)], dtype=torch.int32),
            prompt_speech_token=one.speech[None],
            prompt_speech_token_len=torch.tensor([len(one.speech)], dtype=torch.int32),
            embedding=torch.zeros(0, 192) if one.speaker is None else one.speaker[None],
            max_token_text_ratio=one.most / len(one.text) + 1e-6,
            min_token_text_ratio=0,
        )
        assert list(told) == drawn.codes


def test_sound_is_upstreams_own(model: speech_model.CosyVoiceModel, tmp_path: Path) -> None:
    """Given the same tokens, reference and seed, flow and vocoder say what upstream's pipeline says."""
    with checkout.importable(CODE):
        from cosyvoice.cli import model as upstream
    kinds = {FIRST: upstream.CosyVoiceModel, SECOND: upstream.CosyVoice2Model, THIRD: upstream.CosyVoice3Model}
    theirs = kinds[model.name](model._nets.llm, model._nets.flow, model._nets.hift)
    clip = cosyvoice_factory.make_utterances(tmp_path, count=1)[0].audio_path
    prompt, tokens = model._frontend.features(clip), [5, 7, 9, 11, 40, 41] * 10
    rate = model._folder.token_rate
    mel = rendering.spectrogram(model._nets.flow, tokens, prompt, device="cpu", rate=rate, seed=4)
    ours = rendering.samples(model._nets.hift, mel, seed=4)
    theirs.hift_cache_dict["one"] = None
    later = {} if model.name == FIRST else {"token_offset": 0}
    if (
        model.name == FIRST
    ):  # it keeps what overlaps between pieces, and draws the flow's noise and the vocoder's in turn
        theirs.mel_overlap_dict["one"], theirs.flow_cache_dict["one"] = torch.zeros(1, 80, 0), torch.zeros(1, 80, 0, 2)
        seeded = theirs.hift.inference
        theirs.hift.inference = lambda **told: (torch.manual_seed(4), seeded(**told))[1]
    torch.manual_seed(4)
    said = theirs.token2wav(
        torch.tensor([tokens]),
        prompt.tokens[None],
        prompt.mel[None],
        prompt.speaker[None],
        uuid="one",
        finalize=True,
        **later,
    )
    assert np.allclose(ours, said.reshape(-1).numpy(), atol=1e-6)
