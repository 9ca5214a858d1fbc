"""Going from one full checkpoint to another: laid over the base in place, against loading the model anew."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.measure import Row, Table, in_turns
from engine import full_weights
from engine.adapter_files import FULL_FILE, write_adapter
from engine.adapters import AdapterHost
from engine.backends.speech_model import SpeechModel
from engine.types import Adapter, GenerationSettings, Refused, SpeakRow

WIDTH, LAYERS = 1280, 6  # IndexTTS2's GPT is 24 such layers
BASE_FILE = "model.safetensors"
NAME, BASE_SHA256, PART = "stack", "0" * 64, "gpt"


def run(turns: int, base_model: str = "") -> list[Table]:
    """A stack of transformer-sized matrices and an encoder as large as a third of it. `base_model` does not apply."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        return [_measure(Path(folder), turns)]


@dataclass
class Stack:
    """As much of a `SpeechModel` as the host looks at; the encoder is in the part and gets no gradient."""

    name: str = NAME
    base_sha256: str = BASE_SHA256
    capabilities: Any = field(default_factory=lambda: SimpleNamespace(parts=(PART,), mixes_rows=True))
    net: nn.Module = field(default_factory=lambda: _net())

    def part(self, name: str) -> nn.Module:
        return {PART: self.net}[name]


def _net() -> nn.Module:
    layer = {"c_attn": 3 * WIDTH, "c_proj": WIDTH, "c_fc": 4 * WIDTH, "c_down": 4 * WIDTH}
    names = {
        f"layer{n}_{each}": nn.Linear(WIDTH, out, bias=False) for n in range(LAYERS) for each, out in layer.items()
    }
    return nn.ModuleDict({**names, "encoder": nn.Linear(WIDTH, 4 * LAYERS * WIDTH, bias=False)}).requires_grad_(False)


def _measure(folder: Path, turns: int) -> Table:
    torch.manual_seed(0)
    model = Stack()
    base = {name: parameter.detach().clone() for name, parameter in model.net.named_parameters()}
    save_file(base, folder / BASE_FILE)
    adapters = [_checkpoint(folder / name, base) for name in ("a", "b")]
    host = AdapterHost(cast(SpeechModel, model))
    for adapter in adapters:
        host.add(adapter)
    rows = [_row(adapter) for adapter in adapters]

    def lay_one_in_another() -> None:
        with host.using(rows[:1]), host.using(rows[1:]):
            pass

    def lay_and_lift() -> None:
        with host.using(rows[:1]):
            pass

    def read_and_lay() -> None:
        host.remove(adapters[0].sha256)
        host.add(adapters[0])
        lay_and_lift()

    took = in_turns(
        {
            "reload": lambda: _reload(folder, adapters[0]),
            "read": read_and_lay,
            "one": lay_and_lift,
            "two": lay_one_in_another,
        },
        turns,
    )
    _must_be_exact(host, model, base, adapters[0])
    full, delta = (sum(t.numel() * t.element_size() for t in some.values()) for some in (base, _stored(adapters[0])))
    swap = took["one"]
    rows_shown = [
        Row(
            "load the base and the checkpoint anew",
            f"{took['reload'] * 1000:.0f} ms",
            f"{took['reload'] / swap:.1f} x swap",
        ),
        Row(
            "read a delta, compare it with the base, lay it, lift it",
            f"{took['read'] * 1000:.0f} ms",
            f"{took['read'] / swap:.1f} x swap",
        ),
        Row("**lay a delta that was read, and lift it**", f"{swap * 1000:.0f} ms", "1"),
        Row(
            "one checkpoint, another inside of it, and back",
            f"{took['two'] * 1000:.0f} ms",
            f"{took['two'] / swap:.1f} x swap",
        ),
        Row("a checkpoint's file", f"{delta / 1e6:.0f} MB", f"{delta / full:.2f} of all weights"),
    ]
    note = (
        f"{full / 1e6:.0f} MB of weights in single precision. After the last turn every tensor of the base was "
        "compared: none had changed. A real reload also makes the tokenizer, the vocoder and what else the voice has."
    )
    return Table("Swapping a full checkpoint", rows_shown, note)


def _checkpoint(folder: Path, base: dict[str, Tensor]) -> Adapter:
    (folder / PART).mkdir(parents=True)
    changed = {name: tensor + 0.01 * torch.randn_like(tensor) for name, tensor in base.items() if "encoder" not in name}
    full_weights.write_part(folder / PART, changed, base.keys() - changed.keys())
    return write_adapter(
        folder,
        backend=NAME,
        base_sha256=BASE_SHA256,
        voice="v",
        parts=(PART,),
        rank=0,
        alpha=0.0,
        voice_settings={},
        kind="full",
    )


def _stored(adapter: Adapter) -> dict[str, Tensor]:
    return load_file(str(adapter.path / PART / FULL_FILE))


def _reload(folder: Path, adapter: Adapter) -> nn.Module:
    with torch.device("meta"):
        made = _net()
    made.load_state_dict({**load_file(str(folder / BASE_FILE)), **_stored(adapter)}, assign=True)
    for parameter in made.parameters():
        parameter.data = parameter.data.clone()  # a mapped file is read when it is first used
    return made


def _row(adapter: Adapter) -> SpeakRow:
    return SpeakRow(
        text="",
        voice="v",
        seed=0,
        adapter_sha256=adapter.sha256,
        lora_scale=1.0,
        voice_settings={},
        settings=GenerationSettings(),
    )


def _must_be_exact(host: AdapterHost, model: Stack, base: dict[str, Tensor], adapter: Adapter) -> None:
    """Raises Refused when the times are of something that is not right."""
    stored = _stored(adapter)
    with host.using([_row(adapter)]):
        laid = all(torch.equal(p, stored.get(name, base[name])) for name, p in model.net.named_parameters())
    if not laid or not all(torch.equal(p, base[name]) for name, p in model.net.named_parameters()):
        raise Refused("What was laid over the base, or what came back, is not what was written; no times are shown.")
