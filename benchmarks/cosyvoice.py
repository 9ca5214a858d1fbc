"""CosyVoice 1 and 3: what one batch of the language model with mixed adapters saves against row by row, on the real
classes, tiny; and at the real size, where no weights are needed, how large an adapter is and what memory a run would be
said to need before it starts.

`COSYVOICE_DIR=... python -m benchmarks.cosyvoice`, in an interpreter that has what the checkout needs. Flow and vocoder
follow row by row in either way, so that tokens alone are measured.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import peft
import torch

from engine import memory, presets
from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends.cosyvoice import checkout, recipe, sizing, speech_model
from engine.backends.cosyvoice.versions import VERSIONS
from engine.types import Adapter, GenerationSettings, SpeakRow
from tests import cosyvoice_factory
from tests.cosyvoice_factory import CODE, FIRST, SECOND, TEXTS, THIRD

SCALES = (0.2, 0.35, 0.5, 1.0)
CHECKPOINTS = 4
SETTINGS = GenerationSettings(temperature=0.9, top_k=25, top_p=0.8, max_factor=1.0)
# Of the language model inside both versions, as its folder's config.json has it (CosyVoice-BlankEN).
REAL = {"hidden_size": 896, "num_hidden_layers": 24, "intermediate_size": 4864, "vocab_size": 151_936}
HEADS = {"num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True}


def adapter_size(rank: int = 16) -> dict[str, object]:
    """Trained numbers of LoRA on the attention of the language model at its real size, on no device at all."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    with torch.device("meta"):
        model: Any = Qwen2ForCausalLM(Qwen2Config(**REAL, **HEADS))  # type: ignore[arg-type]
    whole = sum(parameter.numel() for parameter in model.parameters())
    config = peft.LoraConfig(r=rank, target_modules=list(VERSIONS[THIRD].llm_targets))
    wrapped = peft.get_peft_model(model, config, low_cpu_mem_usage=True)
    trained = sum(parameter.numel() for parameter in wrapped.parameters() if parameter.requires_grad)
    return {"trained": trained, "of": whole, "share": round(100 * trained / whole, 3), "fp32 MB": trained * 4 / 1e6}


def memory_at_real_size(version: str) -> dict[str, object]:
    """What the review before a run would say of its memory, in GB by preset, from upstream's own yaml and classes at
    their real size, built on no device at all.
    """
    from transformers import Qwen2Config, Qwen2ForCausalLM

    def qwen(*_: object, **__: object) -> Any:
        return Qwen2ForCausalLM(Qwen2Config(**REAL, **HEADS))  # type: ignore[arg-type]

    known = VERSIONS[version]
    conf = CODE / "examples/libritts" / f"cosyvoice{version.removeprefix('cosyvoice').removeprefix('1')}" / "conf"
    told = recipe.read(conf / known.yaml)
    with tempfile.TemporaryDirectory() as name:
        config, files = Path(name) / "config.json", [Path(name) / f"{part}.pt" for part in ("llm", "flow", "hift")]
        config.write_text(json.dumps({**REAL, **HEADS}))
        counted = {}
        for file in files:
            with (
                checkout.importable(CODE),
                torch.device("meta"),
                patch.object(Qwen2ForCausalLM, "from_pretrained", qwen),
            ):
                net = recipe.build(told[file.stem])
            counted[file.stem] = sum(parameter.numel() for parameter in net.parameters())
            torch.save({key: torch.empty(value.shape, device="meta") for key, value in net.state_dict().items()}, file)
        size = sizing.size(
            files,
            config if known.qwen else None,
            targets={"llm": known.llm_targets, "flow": known.flow_targets},
            token_rate=25 if known.qwen else 50,
            mel_ratio=2.0 if known.qwen else 441 / 256,
        )
    configs = {preset.name: preset.config for preset in presets.of(version)}
    # upstream's batches are of 2000 frames, 1000 tokens at two frames each
    configs["default, upstream's batches"] = replace(configs["default"], batch_tokens=1000)
    configs["full, without the memory stack"] = replace(
        configs.get("full", configs["default"]), method="full", optimizer="adamw", gradient_checkpointing=False
    )
    return {"parameters": counted} | {
        preset: round(memory.estimate(one, size, device="cuda:0", batch_tokens=one.batch_tokens).needed_bytes / 1e9, 2)
        for preset, one in configs.items()
    }


def batching(version: str, turns: int = 3) -> dict[str, object]:
    """Seconds of both ways for 16 rows of as many adapters and scales, in turns, and their ratio."""
    os.environ[checkout.VARIABLE] = str(CODE)
    with tempfile.TemporaryDirectory() as name:
        folder = cosyvoice_factory.make(Path(name) / "base", version)
        model: Any = cosyvoice_factory.hear(speech_model.load(version, folder, "cpu"))
        host = AdapterHost(model)
        rows = []
        for seed in range(CHECKPOINTS):
            one = _adapter(version, folder, Path(name) / str(seed), seed)
            host.add(one)
            rows += [
                SpeakRow(text=text, voice="default", seed=7, adapter_sha256=one.sha256, lora_scale=s, settings=SETTINGS)
                for text, s in zip(TEXTS, SCALES, strict=True)
            ]
        spent: dict[str, list[float]] = {"batch": [], "one by one": []}
        tokens = 0
        for _ in range(turns):
            started = time.perf_counter()
            together = model.drawn(rows, host)
            spent["batch"].append(time.perf_counter() - started)
            started = time.perf_counter()
            alone = [model.drawn([row], host)[0] for row in rows]
            spent["one by one"].append(time.perf_counter() - started)
            assert together == alone
            tokens = sum(len(one.codes) for one in alone)
    return {
        "rows": len(rows),
        "tokens": tokens,
        **{f"{way}, s": round(statistics.median(found), 3) for way, found in spent.items()},
        "ratio": round(statistics.median(spent["one by one"]) / statistics.median(spent["batch"]), 2),
        "ratios": [round(b / a, 2) for a, b in zip(*spent.values(), strict=True)],
    }


def _adapter(version: str, base: Path, folder: Path, seed: int) -> Adapter:
    model = speech_model.load(version, base, "cpu")
    part = model.lora_parts()[0]
    torch.manual_seed(seed)
    told = peft.LoraConfig(r=4, lora_alpha=4, target_modules=list(part.target_modules), init_lora_weights=False)
    peft.get_peft_model(model.part(part.name), told).save_pretrained(str(folder / part.name))
    return write_adapter(
        folder,
        backend=version,
        base_sha256=model.base_sha256,
        voice="default",
        parts=(part.name,),
        rank=4,
        alpha=4.0,
        voice_settings={},
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(
        json.dumps(
            {
                "adapter at real size": adapter_size(),
                "memory at real size, GB": {name: memory_at_real_size(name) for name in (FIRST, SECOND, THIRD)},
                "16 mixed rows": {name: batching(name) for name in (FIRST, THIRD)},
            },
            indent=1,
        )
    )
