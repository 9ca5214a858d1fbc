"""Finch on a GPU, checked without one: among PyTorch's fake CUDA tensors, one left on the processor is an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from engine.backends.finch import codec, generation, speech_model
from engine.types import GenerationSettings, SpeakRow
from tests import finch_factory

CUDA = torch.device("cuda:0")


@pytest.fixture
def model(tmp_path: Path) -> Iterator[speech_model.FinchModel]:
    """A model that was built for real (which fills the caches of constants), and then moved in pretence."""
    model = finch_factory.make_finch(tmp_path / "weights")
    nets, ear = model._nets, model._ear
    with FakeTensorMode(allow_non_fake_inputs=True):
        for net in (nets.language_model, nets.encoder, nets.decoder, nets.vocoder, ear):
            _pretend_to_move(net)
        yield model


def _pretend_to_move(net: nn.Module) -> None:
    for module in net.modules():
        for name, real in module._parameters.items():
            if real is not None:
                module._parameters[name] = nn.Parameter(_on_cuda(real), requires_grad=False)
        for name, real in module._buffers.items():
            if real is not None:
                module._buffers[name] = _on_cuda(real)


def _on_cuda(real: torch.Tensor) -> torch.Tensor:
    return torch.empty(real.shape, dtype=real.dtype, device=CUDA)


def test_the_decoder_loss_with_the_ear_stays_on_the_device(model: speech_model.FinchModel) -> None:
    """Norms, the cosine basis and the ear follow the decoder's output."""
    decoder = model._nets.decoder
    tokens = torch.zeros(2, 8, dtype=torch.long, device=CUDA)
    output = decoder(decoder.quantiser.values(tokens), torch.zeros(2, dtype=torch.long, device=CUDA))
    target = torch.zeros(2, 32, 30, device=CUDA)
    assert codec.decoder_loss(output, target, model._nets.config.normalisation, model._ear)["total"].device == CUDA


def test_rendering_stays_on_the_device(model: speech_model.FinchModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens to samples: decoder, norms and vocoder follow the tokens' device."""
    monkeypatch.setattr(torch, "randn", lambda n, generator: torch.zeros(n))  # fake tensors know no generators
    tokens = torch.zeros(6, dtype=torch.long, device=CUDA)
    assert model._nets.render(tokens, 0, torch.Generator()).device == CUDA


def test_a_step_of_generation_stays_on_the_device(
    model: speech_model.FinchModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts, masks, cache and sampling: the prefix and a step after it, with every filter on."""
    # Fake tensors know no generators.
    monkeypatch.setattr(
        generation.Sampler, "_noise_of", lambda self, step, device: torch.zeros(2, self._columns, device=device)
    )
    settings = GenerationSettings(top_p=0.9, repetition_penalty=1.2)
    row = SpeakRow(text=finch_factory.TEXTS[0], voice="low", seed=1, settings=settings)
    prompts = [model._prompt(row), model._prompt(row)]
    vocabulary = model._vocabulary
    sampler = generation.Sampler(prompts, vocabulary.size - vocabulary.eos, CUDA)
    cache = generation.RowCache(4)
    ids, positions, mask = generation._left_padded(prompts, vocabulary.pad, CUDA)
    for step in range(2):
        logits = generation._logits(model._nets.language_model, ids, positions, mask, cache, is_prefix=step == 0)
        chosen = sampler.choose(logits[:, vocabulary.eos :], step)
        assert chosen.device == CUDA
        ids, positions = (chosen + vocabulary.eos)[:, None], torch.full_like(chosen, step + 1)[:, None]
        mask = torch.nn.functional.pad(mask, (0, 1), value=True)
