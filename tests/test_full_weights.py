"""Full weights: read strictly, laid over a base at any scale, and taken off without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine import full_weights
from engine.adapter_files import load_adapter, write_adapter
from engine.adapters import AdapterHost
from engine.types import Adapter, BadInput, Refused
from tests.adapter_factory import TwoPartModel, row


def make_module(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 2))


def own(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def save(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "full.safetensors")
    return folder


def make_full(folder: Path, model: TwoPartModel, names: tuple[str, ...], seed: int) -> Adapter:
    """A full checkpoint of the decoder in which the named tensors differ from the base."""
    torch.manual_seed(seed)
    changed = {n: t + torch.randn_like(t) if n in names else t for n, t in own(model.decoder).items()}
    save(folder / "decoder", changed)
    return write_adapter(
        folder,
        backend=model.name,
        base_sha256=model.base_sha256,
        voice="v",
        parts=("decoder",),
        rank=0,
        alpha=0.0,
        voice_settings={},
        kind="full",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("0.bias"), "lacks 0.bias"),
        (lambda t: t.update(extra=torch.zeros(1)), "has, beyond this model's, extra"),
        (lambda t: t.update({"0.bias": torch.zeros(4)}), r"has shape \(4,\) instead of \(3,\)"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, change: object, said: str) -> None:
    """Every tensor is there, no other one is, and each has its shape; else nothing is loaded."""
    tensors = own(make_module())
    change(tensors)  # type: ignore[operator]
    with pytest.raises(Refused, match=said):
        full_weights.read_part(save(tmp_path, tensors), make_module())


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    """No file, or half a file, is a sentence with the file in it."""
    with pytest.raises(BadInput, match=r"full\.safetensors is missing"):
        full_weights.read_part(tmp_path, make_module())
    file = save(tmp_path, own(make_module())) / "full.safetensors"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(BadInput, match=r"full\.safetensors is damaged"):
        full_weights.read_part(tmp_path, make_module())


def test_a_file_names_what_it_leaves_to_the_base(tmp_path: Path) -> None:
    """What training did not touch is not in the file but named in it: a hole that is not named is another model's.
    Written again, it is the same file.
    """
    module = make_module()
    base, whole = own(module), own(make_module(1))
    changed = {name: tensor for name, tensor in whole.items() if name.startswith("2.")}
    full_weights.write_part(tmp_path, changed, base.keys() - changed.keys())
    overlay = full_weights.Overlay(module)
    overlay.lay(full_weights.difference(tmp_path, module), 1.0)
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, changed.get(name, base[name]))
    overlay.lift()
    assert all(torch.equal(parameter, base[name]) for name, parameter in module.named_parameters())
    written = (tmp_path / "full.safetensors").read_bytes()
    for _ in range(8):
        full_weights.write_part(tmp_path, changed, base.keys() - changed.keys())
        assert (tmp_path / "full.safetensors").read_bytes() == written
    full_weights.write_part(tmp_path, changed, {"0.weight"})
    with pytest.raises(Refused, match=r"lacks 0\.bias"):
        full_weights.read_part(tmp_path, module)


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.5])
def test_what_is_laid_over_is_between_base_and_full(tmp_path: Path, scale: float) -> None:
    """base + scale * (full - base) in every tensor, the full weights to the bit at 1, and the base to the bit after."""
    module, other = make_module(0), make_module(1)
    base = own(module)
    overlay = full_weights.Overlay(module)
    overlay.lay(full_weights.difference(save(tmp_path, own(other)), module), scale)
    for name, parameter in module.named_parameters():
        full = dict(other.named_parameters())[name]
        torch.testing.assert_close(parameter, base[name] + scale * (full - base[name]))
        assert scale != 1.0 or torch.equal(parameter, full)
    overlay.lift()
    assert all(torch.equal(parameter, base[name]) for name, parameter in module.named_parameters())


def test_only_what_a_checkpoint_changed_is_kept_and_copied(tmp_path: Path) -> None:
    """Tensors that equal the base's cost no memory; going to another checkpoint puts back what only the first had."""
    model = TwoPartModel()
    base = own(model.decoder)
    host = AdapterHost(model)
    a = make_full(tmp_path / "a", model, ("0.weight",), seed=1)
    b = make_full(tmp_path / "b", model, ("2.bias",), seed=2)
    for one in (a, b):
        host.add(one)
    overlay = host._overlays["decoder"]
    assert set(host._full[a.sha256]["decoder"].changed) == {"0.weight"}
    with host.using([row("alpha", a, 1.0)]):
        assert set(overlay._base) == {"0.weight"}
        with host.using([row("alpha", b, 1.0)]):
            assert torch.equal(model.decoder[0].weight, base["0.weight"])
            assert not torch.equal(model.decoder[2].bias, base["2.bias"])
        assert torch.equal(model.decoder[2].bias, base["2.bias"])
        assert not torch.equal(model.decoder[0].weight, base["0.weight"])
    host.remove(a.sha256)
    assert set(overlay._base) == {"2.bias"}


def test_adding_while_another_is_laid_over_compares_with_the_base(tmp_path: Path) -> None:
    """A checkpoint that is read inside of another one's block is still the difference from the base."""
    model = TwoPartModel()
    host = AdapterHost(model)
    a = make_full(tmp_path / "a", model, ("0.weight",), seed=1)
    b = make_full(tmp_path / "b", model, ("2.bias",), seed=2)
    host.add(a)
    with host.using([row("alpha", a, 1.0)]):
        host.add(b)
    assert set(host._full[b.sha256]["decoder"].changed) == {"2.bias"}


def test_a_full_checkpoint_is_an_adapter_of_its_own_kind(tmp_path: Path) -> None:
    """Its folder says so, its hash is of its weights, and an altered byte is found."""
    adapter = make_full(tmp_path / "a", TwoPartModel(), ("0.weight",), seed=1)
    read = load_adapter(tmp_path / "a")
    assert read == adapter
    assert read.kind == "full"
    file = tmp_path / "a/decoder/full.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(BadInput, match="altered"):
        load_adapter(tmp_path / "a")
    assert make_full(tmp_path / "b", TwoPartModel(), ("0.weight",), seed=1).sha256 == adapter.sha256
