"""The host of adapters: equality with PEFT, rows that mix adapters and scales, and what is refused."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.adapters import AdapterHost
from engine.types import BadInput, NotFound, Refused, Speech
from tests.adapter_factory import TARGETS, TwoPartModel, make_adapter, peft_twin, row

TEXTS = ("alpha", "bravo", "delta", "echo!", "gamma", "hotel")


@pytest.fixture
def model() -> TwoPartModel:
    return TwoPartModel()


@pytest.fixture
def host(model: TwoPartModel) -> AdapterHost:
    return AdapterHost(model)


def samples(speeches: list[Speech]) -> list[np.ndarray]:
    return [speech.samples for speech in speeches]


# ----------------------------------------------------------------------------------------------------- with PEFT itself
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"rank": 8, "alpha": 3.0},
        {"use_rslora": True},
        {"parts": ("lm",), "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 32.0, "o_proj": 1.0}},
        {"targets": {"lm": ("down_proj", "up_proj"), "decoder": ("2",)}},
        {"parts": ("lm",), "layers_to_transform": [1]},
    ],
    ids=["plain", "rank-alpha", "rslora", "patterns", "other-targets", "one-layer"],
)
@pytest.mark.parametrize("scale", [0.35, 1.0, 1.5])
def test_a_row_is_what_peft_gives_at_that_scale(
    tmp_path: Path, model: TwoPartModel, host: AdapterHost, config: dict, scale: float
) -> None:
    """The host computes PEFT's own LoRA: same adapter, same absolute scale, same output to 1e-5 in float32."""
    adapter = make_adapter(tmp_path / "a", model, seed=1, **config)
    expected = peft_twin(model, adapter, scale).outputs(TEXTS).flatten(1).numpy()
    host.add(adapter)
    got = np.stack(samples(host.speak([row(text, adapter, scale) for text in TEXTS])))
    np.testing.assert_allclose(got, expected, atol=1e-5, rtol=1e-5)
    assert np.abs(got - np.stack(samples(host.speak([row(text) for text in TEXTS])))).max() > 1e-3


def test_rows_of_different_adapters_scales_ranks_and_targets_share_a_batch(
    tmp_path: Path, model: TwoPartModel, host: AdapterHost
) -> None:
    """Each row of one mixed batch equals PEFT's output for that row's adapter and scale, whatever its neighbours
    are.
    """
    adapters = [
        make_adapter(tmp_path / "a", model, seed=1, rank=4),
        make_adapter(tmp_path / "b", model, seed=2, rank=7, alpha=3.0, use_rslora=True),
        make_adapter(tmp_path / "c", model, seed=3, rank=2, parts=("decoder",)),
        make_adapter(tmp_path / "d", model, seed=4, targets={"lm": ("up_proj", "q_proj"), "decoder": ("2",)}),
    ]
    for adapter in adapters:
        host.add(adapter)
    rows = [
        row(TEXTS[0], adapters[0], 1.0),
        row(TEXTS[1], adapters[1], 0.3),
        row(TEXTS[2]),
        row(TEXTS[3], adapters[2], 0.5),
        row(TEXTS[4], adapters[3], 2.0),
        row(TEXTS[5], adapters[0], 0.2),
    ]
    got = samples(host.speak(rows))
    assert model.batch_sizes == [6]
    by_hash = {adapter.sha256: adapter for adapter in adapters}
    for one, speech in zip(rows, got, strict=True):
        twin = peft_twin(model, by_hash[one.adapter_sha256], one.lora_scale) if one.adapter_sha256 else TwoPartModel()
        np.testing.assert_allclose(speech, twin.outputs([one.text]).flatten().numpy(), atol=1e-5, rtol=1e-5)


# ----------------------------------------------------------------------------------------------------------- invariants
def test_scale_0_is_the_base_bit_for_bit_alone_and_among_others(
    tmp_path: Path, model: TwoPartModel, host: AdapterHost
) -> None:
    """Scale 0 is the hidden reference of every sweep, so it may not differ from the base by a single bit."""
    base = samples(host.speak([row(text) for text in TEXTS]))
    a, b = (make_adapter(tmp_path / name, model, seed=seed) for seed, name in enumerate("ab"))
    host.add(a)
    host.add(b)
    zero = samples(host.speak([row(text, a, 0.0) for text in TEXTS]))
    one_adapter = samples(host.speak([row(text, a, 0.0 if i % 2 else 1.0) for i, text in enumerate(TEXTS)]))
    mixed = samples(host.speak([row(text, (a, b)[i // 2 % 2], 0.0 if i % 2 else 1.0) for i, text in enumerate(TEXTS)]))
    for i in range(len(TEXTS)):
        assert np.array_equal(zero[i], base[i])
        if i % 2:
            assert np.array_equal(one_adapter[i], base[i])
            assert np.array_equal(mixed[i], base[i])


def test_removing_the_last_adapter_leaves_the_base(tmp_path: Path, model: TwoPartModel, host: AdapterHost) -> None:
    """After the last adapter is removed, weights, names and outputs are the base's, bit for bit."""
    before = {name: tensor.clone() for name, tensor in model.lm.state_dict().items()}
    base = model.outputs(TEXTS)
    a = make_adapter(tmp_path / "a", model, seed=1)
    b = make_adapter(tmp_path / "b", model, seed=2, parts=("decoder",))
    for adapter in (a, b):
        host.add(adapter)
    host.speak([row("alpha", a, 1.0), row("bravo", b, 1.0)])
    for adapter in (a, b):
        host.remove(adapter.sha256)
    assert host.loaded == ()
    after = model.lm.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert torch.equal(model.outputs(TEXTS), base)
    assert not any(module._forward_hooks for part in TARGETS for module in model.part(part).modules())


def test_going_to_another_adapter_and_back_is_bit_exact(tmp_path: Path, model: TwoPartModel, host: AdapterHost) -> None:
    """A, then B, then A again gives A's first output: nothing of B is left behind."""
    a, b = (make_adapter(tmp_path / name, model, seed=seed, rank=3 + seed) for seed, name in enumerate("ab"))
    host.add(a)
    first = samples(host.speak([row("alpha", a, 0.7)]))[0]
    host.add(b)
    host.speak([row("alpha", b, 1.0)])
    host.remove(b.sha256)
    assert np.array_equal(samples(host.speak([row("alpha", a, 0.7)]))[0], first)


def test_alpha_is_honoured(tmp_path: Path, model: TwoPartModel, host: AdapterHost) -> None:
    """The same weights under twice the alpha at half the scale sound the same, and at the same scale they do not."""
    low = make_adapter(tmp_path / "low", model, seed=1, alpha=8.0)
    high = make_adapter(tmp_path / "high", model, seed=1, alpha=16.0)
    for adapter in (low, high):
        host.add(adapter)
    one, same, other = samples(host.speak([row("alpha", low, 1.0), row("alpha", high, 0.5), row("alpha", high, 1.0)]))
    np.testing.assert_allclose(same, one, atol=1e-6)
    assert np.abs(other - one).max() > 1e-3


def test_a_nested_block_serves_its_own_rows_and_gives_the_outer_ones_back(
    tmp_path: Path, model: TwoPartModel, host: AdapterHost
) -> None:
    """A model that drops finished rows opens a block with the rest; the outer rows are served again after it."""
    a, b = (make_adapter(tmp_path / name, model, seed=seed) for seed, name in enumerate("ab"))
    host.add(a)
    host.add(b)
    rows = [row("alpha", a, 1.0), row("bravo", b, 0.5)]
    with host.using(rows):
        before = model.outputs(["alpha", "bravo"])
        with host.using(rows[1:]):
            torch.testing.assert_close(model.outputs(["bravo"]), before[1:], atol=1e-6, rtol=1e-5)
        assert torch.equal(model.outputs(["alpha", "bravo"]), before)


def test_a_batch_of_another_size_than_its_rows_is_an_error(
    tmp_path: Path, model: TwoPartModel, host: AdapterHost
) -> None:
    """Rows never slip: an input with more rows than the block was opened with cannot be adapted by accident."""
    a, b = (make_adapter(tmp_path / name, model, seed=seed) for seed, name in enumerate("ab"))
    host.add(a)
    host.add(b)
    with host.using([row("alpha", a, 1.0), row("bravo", b, 1.0)]), pytest.raises(RuntimeError, match="3 rows"):
        model.outputs(["alpha", "bravo", "delta"])


def test_a_backend_that_cannot_mix_rows_gets_them_one_by_one(tmp_path: Path) -> None:
    """The caller is the same: rows of a backend without row mixing are rendered in order, each in its own call."""
    model = TwoPartModel(mixes_rows=False)
    host = AdapterHost(model)
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    host.add(adapter)
    assert len(host.speak([row("alpha", adapter, 1.0), row("bravo"), row("delta")])) == 3
    assert model.batch_sizes == [1, 1, 1]


def test_no_rows_give_no_speech_and_do_not_reach_the_model(model: TwoPartModel, host: AdapterHost) -> None:
    """An empty batch is not an error and costs nothing."""
    assert host.speak([]) == []
    assert model.batch_sizes == []


def test_another_thread_waits_until_a_block_is_over(tmp_path: Path, model: TwoPartModel, host: AdapterHost) -> None:
    """An adapter cannot be removed from under rows that are being served."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    host.add(adapter)
    started = threading.Event()

    def remove() -> None:
        started.set()
        host.remove(adapter.sha256)

    thread = threading.Thread(target=remove)
    with host.using([row("alpha", adapter, 1.0)]):
        thread.start()
        started.wait()
        thread.join(timeout=0.05)
        assert thread.is_alive()
        assert host.loaded == (adapter.sha256,)
    thread.join(timeout=5)
    assert host.loaded == ()


# ------------------------------------------------------------------------------------------------------------- refusals
def test_adding_twice_is_once(tmp_path: Path, model: TwoPartModel, host: AdapterHost) -> None:
    """Adapters are held by content: the same one again changes nothing."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    assert host.add(adapter) == host.add(replace(adapter, path=tmp_path / "elsewhere")) == adapter.sha256
    assert host.loaded == (adapter.sha256,)


def test_an_adapter_of_another_base_is_refused(tmp_path: Path, model: TwoPartModel, host: AdapterHost) -> None:
    """An adapter fits the weights it was trained on and no others."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    with pytest.raises(Refused, match="trained on two-part cccccccccccc"):
        host.add(replace(adapter, base_sha256="c" * 64))
    with pytest.raises(Refused, match="trained on other"):
        host.add(replace(adapter, backend="other"))
    with pytest.raises(Refused, match="part 'flow'"):
        host.add(replace(adapter, parts=("lm", "flow")))


def test_a_row_whose_adapter_is_not_loaded_is_refused(tmp_path: Path, model: TwoPartModel, host: AdapterHost) -> None:
    """A row never falls back to the base in silence."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    with pytest.raises(NotFound, match="add it first"):
        host.speak([row("alpha", adapter, 1.0)])
    with pytest.raises(NotFound, match="loaded are: none"):
        host.remove(adapter.sha256)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(min(t)), "has no tensor"),
        (lambda t: t.update({"base_model.model.lm_head.lora_A.weight": torch.zeros(4, 16)}), "does not ask for"),
        (lambda t: t.update({min(t): torch.zeros(3, 16)}), r"shape \(3, 16\)"),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_a_tensor_too_few_too_many_or_of_another_shape_is_refused(
    tmp_path: Path, model: TwoPartModel, host: AdapterHost, change: object, words: str
) -> None:
    """Every expected tensor is loaded and no other: a silent mismatch would sound like a bad checkpoint."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    file = str(adapter.path / "lm" / "adapter_model.safetensors")
    tensors = load_file(file)
    change(tensors)  # type: ignore[operator]
    save_file(tensors, file)
    with pytest.raises(Refused, match=words):
        host.add(adapter)
    assert host.loaded == ()
    assert not any(module._forward_hooks for module in model.lm.modules())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "LOHA"}, "only LoRA"),
        ({"target_modules": ["q_proj", "nothing"]}, "targets nothing"),
        ({"target_modules": "all-.*-none"}, "does not have"),
        ({"target_modules": ["embed_tokens"]}, "embed_tokens, a Embedding"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_is_not_plain_lora_on_linears_is_refused(
    tmp_path: Path, model: TwoPartModel, host: AdapterHost, setting: dict, words: str
) -> None:
    """Kinds of adapters that the row arithmetic does not compute are named instead of being half applied."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    file = adapter.path / "lm" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | setting))
    with pytest.raises(Refused, match=words):
        host.add(adapter)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize("content", [None, b"", b"not this"])
def test_a_missing_or_damaged_file_is_named(
    tmp_path: Path, model: TwoPartModel, host: AdapterHost, name: str, content: bytes | None
) -> None:
    """The sentence names the file, so that it can be copied again."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    file = adapter.path / "lm" / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(BadInput, match=name):
        host.add(adapter)


def test_pickled_weights_are_never_read(tmp_path: Path, model: TwoPartModel, host: AdapterHost) -> None:
    """An adapter that only has `adapter_model.bin` is refused: a pickle can run code."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    weights = adapter.path / "lm" / "adapter_model.safetensors"
    torch.save(load_file(str(weights)), adapter.path / "lm" / "adapter_model.bin")
    weights.unlink()
    with pytest.raises(BadInput, match="safetensors only"):
        host.add(adapter)
