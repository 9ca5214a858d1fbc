"""VoxCPM: what changing an adapter or a scale costs against loading the base again, and what its training would take.

The first table runs upstream's class with random weights, smaller than the real ones. The second is arithmetic over the
sizes that public configs of VoxCPM 2 state: nothing of that size was run.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import peft
import torch

from benchmarks.measure import Row, Table, in_turns
from engine import memory, presets
from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends import sizes
from engine.backends.voxcpm import generation, info, speech_model
from engine.types import Adapter, GenerationSettings, MemoryEstimate, SpeakRow
from tests import voxcpm_factory
from tests.voxcpm_factory import SECOND

GIB = 2**30
CARD_GIB = 24
ROPE = {"type": "longrope", "original_max_position_embeddings": 32_768}
# openbmb/VoxCPM2's config.json, as public ports of it state it (hidden sizes, layers, heads, vocabulary)
REAL_LM = {"hidden_size": 2048, "intermediate_size": 6144, "num_attention_heads": 16, "num_hidden_layers": 28,
           "num_key_value_heads": 2, "vocab_size": 73_448, "kv_channels": 128}  # fmt: skip
REAL_HEAD = {"hidden_dim": 1024, "ffn_dim": 4096, "num_heads": 16, "num_layers": 12, "kv_channels": 128}
# A thirtieth of that: large enough that reading the weights is what loading takes.
SMALL_LM = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "num_hidden_layers": 12,
            "num_key_value_heads": 2, "kv_channels": 64}  # fmt: skip
SMALL_HEAD = {"hidden_dim": 512, "ffn_dim": 2048, "num_heads": 8, "num_layers": 4, "kv_channels": 64}


def run(turns: int, base_model: str = "") -> list[Table]:
    """Both tables; `base_model` is another voice's and does not apply."""
    with tempfile.TemporaryDirectory() as folder, _upstream_quiet():
        return [_switches(Path(folder), turns), _estimates(Path(folder))]


# ---------------------------------------------------------------------------------------------------------- switching
def _switches(folder: Path, turns: int) -> Table:
    base = voxcpm_factory.make(folder / "small", told=_config(SMALL_LM, SMALL_HEAD))
    model = speech_model.load(SECOND, base, "cpu")
    host, adapters = AdapterHost(model), [_adapter(model, folder / name) for name in ("a", "b")]
    for adapter in adapters:
        host.add(adapter)
    asked = iter(range(1_000_000))

    def say(adapter: Adapter | None, scale: float) -> None:
        told = {"voice": "default", "seed": 1, "settings": GenerationSettings(max_factor=0.1)}
        sha256 = adapter.sha256 if adapter else None
        host.speak([SpeakRow(text="no", **told, adapter_sha256=sha256, lora_scale=scale)])  # type: ignore[arg-type]

    def add_again() -> None:
        host.remove(adapters[1].sha256)
        host.add(adapters[1])

    took = in_turns(
        {
            "load": lambda: speech_model.load(SECOND, base, "cpu"),
            "add": add_again,
            "base": lambda: say(None, 0.0),
            "same": lambda: say(adapters[0], 1.0),
            "swap": lambda: say(adapters[next(asked) % 2], 1.0),
            "scale": lambda: say(adapters[0], 0.1 + 0.1 * (next(asked) % 8)),
        },
        turns,
    )
    load, parameters = took["load"], info.size(SECOND, base).parameters
    rows = [Row(f"loading the base ({parameters / 1e6:.0f} million parameters)", f"{load:.3f} s", "1")]
    rows.append(Row("forgetting an adapter and reading it again", f"{took['add']:.3f} s", f"{took['add'] / load:.3f}"))
    rows.append(Row("a short row of the base", f"{took['base']:.3f} s"))
    for name, what in (
        ("same", "with an adapter"),
        ("swap", "and another adapter than before"),
        ("scale", "at another scale than before"),
    ):
        more = took[name] - took["base"]
        rows.append(Row(f"the same row {what}", f"{took[name]:.3f} s", f"{more / load:+.3f} over the base's"))
    return Table(
        "Changing adapters and scales, by loading the base", rows, "Random weights on a CPU; ratios to loading."
    )


def _adapter(model: speech_model.VoxcpmModel, folder: Path) -> Adapter:
    other = speech_model.load(SECOND, model._folder.path, "cpu")
    for part in other.lora_parts():
        told = peft.LoraConfig(r=32, lora_alpha=32, target_modules=list(part.target_modules), init_lora_weights=False)
        peft.get_peft_model(other.part(part.name), told).save_pretrained(str(folder / part.name))
    described = {"backend": SECOND, "base_sha256": model.base_sha256, "voice": "default", "voice_settings": {}}
    return write_adapter(folder, **described, parts=info.PARTS, rank=32, alpha=32.0)


# ------------------------------------------------------------------------------------------------------------- memory
def _estimates(folder: Path) -> Table:
    size = _real_size(folder / "real")
    rows = [Row("parameters", f"{size.parameters / 1e9:.2f} billion")]
    for name in ("default", "small-gpu", "full"):
        config = presets.get(SECOND, name).config
        found = memory.estimate(config, size, device="cuda:0", batch_tokens=config.batch_tokens)
        resident = found.needed_bytes / GIB
        what = f"preset {name}, {config.batch_tokens} positions a batch: {_classes(found)}"
        paged = f" and {found.paged_bytes / GIB:.1f} GiB paged" if found.paged_bytes else ""
        rows.append(Row(what, f"{resident:.1f} GiB{paged}", "", f"<= {CARD_GIB} GiB"))
    default = presets.default(SECOND)
    trained = memory.trained_tensors(default, size)
    rows.append(
        Row("an adapter of the default on disk", f"{sum(trained) * 4 / 1e6:.0f} MB", "", "about 70 MB (Instavar)")
    )
    return Table("Memory of training VoxCPM 2, by estimate", rows, "Nothing of this size was run: arithmetic alone.")


def _classes(found: MemoryEstimate) -> str:
    named = ("weights", "gradients", "optimizer", "activations", "adapter", "reserve")
    return ", ".join(f"{name} {getattr(found, name) / GIB:.1f}" for name in named)


def _real_size(folder: Path) -> sizes.ModelSize:
    """Counted in the header of a file that has no weights behind it."""
    from voxcpm.model import voxcpm2

    told = _config(REAL_LM, REAL_HEAD) | {"patch_size": 4, "feat_dim": 64, "residual_lm_num_layers": 8}
    told |= {"scalar_quantization_latent_dim": 512, "audio_vae_config": {}}
    made = voxcpm2.VoxCPMConfig.model_validate(told)
    empty = type("Tokenizer", (), {"vocab": {}})()
    with torch.device("meta"):
        net = voxcpm2.VoxCPM2Model(made, empty, voxcpm2.AudioVAEV2(made.audio_vae_config), device="cpu")
    folder.mkdir()
    (folder / info.CONFIG_FILE).write_text(json.dumps(told), encoding="utf-8")
    (folder / info.TOKENIZER_FILE).write_text("{}", encoding="utf-8")
    prefix = "audio_vae."
    state: Mapping[str, torch.Tensor] = net.state_dict()
    _write_header(folder / info.WEIGHTS_FILE, {k: t for k, t in state.items() if not k.startswith(prefix)})
    _write_header(folder / info.CODEC_FILES[0], {k: t for k, t in state.items() if k.startswith(prefix)})
    return info.size(SECOND, folder)


def _write_header(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    header = {name: {"dtype": "F32", "shape": list(one.shape), "data_offsets": [0, 0]} for name, one in tensors.items()}
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw)


# ------------------------------------------------------------------------------------------------------------- shared
def _config(lm: Mapping[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = voxcpm_factory.config(SECOND)
    half = int(lm["kv_channels"]) // 2
    rope = {**ROPE, "long_factor": [1.0] * half, "short_factor": [1.0] * half}
    told["lm_config"] = {**told["lm_config"], **lm, "rope_scaling": rope, "max_position_embeddings": 32_768}
    told["encoder_config"] = dict(head)
    told["dit_config"] = {**head, "cfm_config": {}}
    return told


@contextlib.contextmanager
def _upstream_quiet() -> Iterator[None]:
    """Few steps of its diffusion, and nothing of what it prints."""
    steps, spare = generation.DIFFUSION_STEPS, generation.SPARE_PATCHES
    generation.DIFFUSION_STEPS, generation.SPARE_PATCHES = 2, 4
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        generation.DIFFUSION_STEPS, generation.SPARE_PATCHES = steps, spare
