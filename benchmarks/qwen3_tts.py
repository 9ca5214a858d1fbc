"""Qwen3-TTS: what one mixed batch of a grid saves against speaking it row by row, on the real classes, tiny; and what
memory a run at the real sizes would be said to need, for which no weights are needed.

Run with the voice's own interpreter: `python -m benchmarks.qwen3_tts`. The model is small enough that what is measured
is the cost of launching its many small products, which is also what upstream's users report of the real one on a GPU.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

import peft
import torch

from engine import memory, presets
from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends.qwen3_tts import info, speech_model
from engine.types import Adapter, GenerationSettings, SpeakRow
from tests import qwen3_tts_factory
from tests.qwen3_tts_factory import NAME, TEXTS

SCALES = (0.2, 0.35, 0.5, 1.0)
CHECKPOINTS = 3
SETTINGS = GenerationSettings(temperature=0.9, max_factor=0.3)

# Talkers as their public configs state them; the predictor is as upstream's class has it by itself.
REAL = {
    "0.6B": {"hidden_size": 1024, "intermediate_size": 3072},
    "1.7B": {"hidden_size": 2048, "intermediate_size": 6144},
}
TALKER = {"num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
          "vocab_size": 3072, "text_vocab_size": 151_936, "text_hidden_size": 2048, "num_code_groups": 16}  # fmt: skip


def memory_at_real_size(size: str) -> dict[str, object]:
    """What the review before a run would say of its memory on a card, in GB by preset: upstream's class, built on no
    device, without its codec.
    """
    from qwen_tts.core.models.configuration_qwen3_tts import Qwen3TTSConfig
    from qwen_tts.core.models.modeling_qwen3_tts import Qwen3TTSForConditionalGeneration

    told = qwen3_tts_factory.config()
    told["talker_config"] |= TALKER | REAL[size] | {"code_predictor_config": {"num_code_groups": 16}}
    told["speaker_encoder_config"] = {"enc_dim": REAL[size]["hidden_size"]}
    with torch.device("meta"):
        shapes = Qwen3TTSForConditionalGeneration(Qwen3TTSConfig(**json.loads(json.dumps(told)))).state_dict()
    predictor = {"num_hidden_layers": 5, "hidden_size": 1024, "intermediate_size": 3072, "vocab_size": 2048}
    told["talker_config"]["code_predictor_config"] |= predictor
    with tempfile.TemporaryDirectory() as name:
        folder = qwen3_tts_factory.describe(Path(name) / "base", told)
        _write_header(folder / "model.safetensors", {key: list(value.shape) for key, value in shapes.items()})
        _write_header(folder / "speech_tokenizer" / "model.safetensors", {})
        counted = info.size(NAME, folder)
    configs = {preset.name: preset.config for preset in presets.of(NAME)}
    return {part.name: part.parameters for part in counted.parts} | {
        preset: round(
            memory.estimate(one, counted, device="cuda:0", batch_tokens=one.batch_tokens).needed_bytes / 1e9, 2
        )
        for preset, one in configs.items()
    }


def _write_header(path: Path, shapes: dict[str, list[int]]) -> None:
    """A file of safetensors without its numbers: all that is counted."""
    header = json.dumps(
        {key: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for key, shape in shapes.items()}
    )
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())


def grid(adapters: list[Adapter]) -> list[SpeakRow]:
    """Four scales, three checkpoints, four lines."""
    return [
        SpeakRow(text=text, voice="default", seed=7, adapter_sha256=one.sha256, lora_scale=scale, settings=SETTINGS)
        for one in adapters
        for scale in SCALES
        for text in TEXTS
    ]


def main(turns: int = 3) -> dict[str, object]:
    """Seconds and frames a second of both ways, in turns, and their ratio."""
    torch.set_num_threads(1)  # products this small are slower on two
    with tempfile.TemporaryDirectory() as name:
        folder = qwen3_tts_factory.make(Path(name) / "base")
        host = AdapterHost(speech_model.load(NAME, folder, "cpu"))
        adapters = [_adapter(host.model, Path(name) / str(seed), seed) for seed in range(CHECKPOINTS)]
        for one in adapters:
            host.add(one)
        rows = grid(adapters)
        spent: dict[str, list[float]] = {"batch": [], "one by one": []}
        frames = 0
        for _ in range(turns):
            started = time.perf_counter()
            together = host.speak(rows)
            spent["batch"].append(time.perf_counter() - started)
            started = time.perf_counter()
            alone = [host.speak([row])[0] for row in rows]
            spent["one by one"].append(time.perf_counter() - started)
            assert [one.tokens for one in together] == [one.tokens for one in alone]
            frames = sum(one.tokens for one in alone)
    middle = {way: statistics.median(found) for way, found in spent.items()}
    return {
        "rows": len(rows),
        "frames": frames,
        **{f"{way}, s": round(found, 3) for way, found in middle.items()},
        **{f"{way}, frames/s": round(frames / found) for way, found in middle.items()},
        "ratio": round(middle["one by one"] / middle["batch"], 2),
        "ratios": [round(b / a, 2) for a, b in zip(*spent.values(), strict=True)],
    }


def _adapter(model: object, folder: Path, seed: int) -> Adapter:
    assert isinstance(model, speech_model.Qwen3TtsModel)
    torch.manual_seed(seed)
    fresh = speech_model.load(NAME, model._folder.path, "cpu")
    for part in fresh.lora_parts():
        told = peft.LoraConfig(r=4, lora_alpha=4, target_modules=list(part.target_modules), init_lora_weights=False)
        peft.get_peft_model(fresh.part(part.name), told).save_pretrained(str(folder / part.name))
    return write_adapter(
        folder,
        backend=NAME,
        base_sha256=model.base_sha256,
        voice="default",
        parts=model.capabilities.parts,
        rank=4,
        alpha=4.0,
        voice_settings={},
    )


if __name__ == "__main__":
    told = {"memory at real size, GB": {size: memory_at_real_size(size) for size in REAL}, "grid": main()}
    print(json.dumps(told, indent=1))
