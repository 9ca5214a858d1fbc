"""A tiny CosyVoice with random weights, as a folder like the one that people download.

Its classes are those of a checkout: upstream's, which COSYVOICE_DIR names, or the stand-in of tests/doubles. Upstream's
need the packages of engine/backends/cosyvoice/requirements-alone.txt; its models in ONNX are written with `onnx`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import audio
from engine.backends.cosyvoice import checkout, info, recipe, speech_model, versions
from engine.backends.cosyvoice.versions import FIRST, SECOND, THIRD, VERSIONS, Version
from engine.types import GenerationSettings, SpeakRow, Utterance
from tests.cosyvoice_yaml import CODES, IS_REAL, WIDTHS, yaml_of

__all__ = ["CODE", "EARS", "FIRST", "IS_REAL", "SECOND", "TEXTS", "THIRD", "WIDTHS", "make", "yaml_of"]

SHORT = GenerationSettings(temperature=0.9, top_k=25, top_p=0.8, max_factor=0.4)
GREEDY = GenerationSettings(temperature=0.0, max_factor=1.0)
TEXTS = ("a cat sat", "we go", "it is a big dog", "no")
# Words before the marks. Upstream's class for version 3 has the id of the third mark, 151646, written into it.
WORDS = 151_643
DOUBLE = Path(__file__).parent / "doubles" / "cosyvoice_checkout"
EARS = Path(__file__).parent / "doubles" / "cosyvoice_ears"  # what the stand-in hears with: a folder for PYTHONPATH
# Upstream's checkout where the environment names one, else the stand-in.
CODE = Path(os.environ["COSYVOICE_DIR"]) if os.environ.get("COSYVOICE_DIR") else DOUBLE
SPEAKERS = ("robin", "wren")  # the voices that a folder of version 1 brings


def make(folder: Path, name: str, *, seed: int = 0) -> Path:
    """Write yaml, language model's folder, weights, and (for upstream's classes) the two models in ONNX."""
    folder.mkdir(parents=True)
    version = VERSIONS[name]
    (folder / version.yaml).write_text(yaml_of(name), encoding="utf-8")
    told = recipe.read(folder / version.yaml)
    language = told["llm"]
    if version.qwen:
        _write_qwen(folder / version.qwen, name, seed)
        inner = recipe.Call(language.arguments["llm"].path, {"pretrain_path": str(folder / version.qwen)}, False)
        language = recipe.Call(language.path, {**language.arguments, "llm": inner}, False)
    with checkout.importable(CODE), torch.random.fork_rng():
        torch.manual_seed(seed)
        for stem, call in (("llm", language), ("flow", told["flow"]), ("hift", told["hift"])):
            net = recipe.build(call)
            torch.manual_seed(seed + 1)
            _make_lively(net)
            torch.save({key: tensor.clone() for key, tensor in net.state_dict().items()}, folder / f"{stem}.pt")
        if version.knows_speakers:
            voices = {one: {"embedding": torch.randn(1, 192)} for one in SPEAKERS}
            torch.save(voices, folder / versions.SPEAKERS)
    if IS_REAL:
        _write_onnx(folder, version)
    else:
        for file in (version.tokenizer, info.SPEAKER_MODEL):
            (folder / file).write_text(str(CODES), encoding="utf-8")
    return folder


LOUDER = ("v_proj.weight", "o_proj.weight", "down_proj.weight", "linear_v.weight", "linear_out.weight")


@torch.no_grad()
def _make_lively(net: Any) -> None:
    """Fresh weights say nearly the same whatever they are given: DiT starts with gates at zero, and so do biases."""
    for key, parameter in net.named_parameters():
        if key.endswith(("attn_norm.linear.weight", "norm_out.linear.weight", "proj_out.weight", "final_proj.weight")):
            parameter.normal_(0.0, 0.2)
        if key.endswith(LOUDER):
            parameter.mul_(3.0)
        if key.startswith(("llm_decoder.weight", "speech_embedding")):
            # logits that differ by some nats, whatever the width
            parameter.normal_(0.0, 4.0 * parameter.shape[1] ** -0.5 if key.startswith("llm_decoder") else 1.0)
        if key == "llm_decoder.bias":
            parameter.zero_()
    if hasattr(net, "llm_decoder"):
        # of the ids that end, one does so in earnest, and not at once
        net.llm_decoder.weight[CODES:] *= 0.1
        net.llm_decoder.weight[net.eos_token] *= 15.0


def _write_qwen(folder: Path, name: str, seed: int) -> None:
    width = WIDTHS[name]
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: place for place, letter in enumerate(alphabet)}
    if IS_REAL and name == THIRD:
        vocabulary |= {f"<w{place}>": place for place in range(len(alphabet), WORDS)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    made: Any = PreTrainedTokenizerFast
    made(tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>").save_pretrained(folder)
    heads = 2 if width < 100 else 14
    config = Qwen2Config(
        vocab_size=len(vocabulary) + 300,  # version 3 has 282 marks
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2 if width < 100 else 2,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        Qwen2ForCausalLM(config).save_pretrained(folder)


def _write_onnx(folder: Path, version: Version) -> None:
    """Ears of the right shapes: a token every so many frames, a vector a recording; both follow what they hear."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random, every = np.random.default_rng(0), 2 if version.name == FIRST else 4

    def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> None:
        made = [numpy_helper.from_array(value, key) for key, value in weights.items()]
        graph = helper.make_graph(nodes, path.stem, inputs, outputs, made)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        onnx.save(model, str(path))

    value = helper.make_tensor_value_info
    save(
        folder / version.tokenizer,
        [
            helper.make_node("Conv", ["feats", "w"], ["scores"], strides=[every], kernel_shape=[every]),
            helper.make_node("ArgMax", ["scores"], ["tokens"], axis=1, keepdims=0),
        ],
        [
            value("feats", TensorProto.FLOAT, [1, 128, "frames"]),
            value("feats_length", TensorProto.INT32, [1]),
        ],
        [value("tokens", TensorProto.INT64, [1, "tokens"])],
        {"w": random.normal(size=(CODES, 128, every)).astype(np.float32)},
    )
    save(
        folder / info.SPEAKER_MODEL,
        [
            helper.make_node("Abs", ["input"], ["absolute"]),
            helper.make_node("ReduceMean", ["absolute"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("MatMul", ["mean", "w"], ["output"]),
        ],
        [value("input", TensorProto.FLOAT, [1, "frames", 80])],
        [value("output", TensorProto.FLOAT, [1, 192])],
        {"w": random.normal(size=(80, 192)).astype(np.float32)},
    )


def make_utterances(folder: Path, *, count: int = 3) -> list[Utterance]:
    """Short clips with something like a voice in them, over noise in every band."""
    made, random = [], np.random.default_rng(0)
    for index in range(count):
        seconds = 1.0 + 0.1 * index
        time = np.arange(int(seconds * 24_000)) / 24_000
        samples = 0.3 * np.sin(2 * np.pi * (150 + 20 * index) * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
        samples += 0.1 * random.normal(size=len(samples))
        path = folder / f"clip{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, samples.clip(-1, 1).astype(np.float32), 24_000)
        made.append(Utterance(id=f"clip{index}", audio_path=path, text=TEXTS[index % len(TEXTS)], duration_sec=seconds))
    return made


def hear(model: Any) -> Any:
    """A loaded model with ears: its own where it is upstream's."""
    if not IS_REAL:
        from importlib.util import module_from_spec, spec_from_file_location

        spec: Any = spec_from_file_location("cosyvoice_ears", EARS / "onnxruntime.py")
        ears = module_from_spec(spec)
        spec.loader.exec_module(ears)
        model._frontend._session = lambda name: ears.InferenceSession(str(model._folder.path / name))
    return model


def load(folder: Path, name: str) -> Any:
    """A loaded model with ears."""
    return hear(speech_model.load(name, folder, "cpu"))


def row(text: str = TEXTS[0], **changes: object) -> SpeakRow:
    """A short row."""
    return replace(SpeakRow(text=text, voice="default", seed=3, settings=SHORT), **changes)  # type: ignore[arg-type]
