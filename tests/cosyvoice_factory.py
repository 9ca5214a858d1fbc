"""A tiny CosyVoice with random weights, as a folder like the one that people download.

Its classes are those of a checkout: upstream's, which COSYVOICE_DIR names, or the stand-in of tests/doubles. Upstream's
need the packages of engine/backends/cosyvoice/requirements-alone.txt; its models in ONNX are written with `onnx`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import audio
from engine.backends.cosyvoice import checkout, info, recipe
from engine.types import Utterance

SECOND, THIRD = "cosyvoice2", "cosyvoice3"
TEXTS = ("a cat sat", "we go", "it is a big dog", "no")
CODES = 300  # with fewer, random weights stop at once: the ids that end are 200
# Words before the marks. Upstream's class has the id of the third mark, 151646, written into it.
WORDS = 151_643
DOUBLE = Path(__file__).parent / "doubles" / "cosyvoice_checkout"
EARS = Path(__file__).parent / "doubles" / "cosyvoice_ears"  # what the stand-in hears with: a folder for PYTHONPATH
# Upstream's checkout where the environment names one, else the stand-in.
CODE = Path(os.environ["COSYVOICE_DIR"]) if os.environ.get("COSYVOICE_DIR") else DOUBLE
IS_REAL = CODE != DOUBLE
WIDTHS = {SECOND: 896 if IS_REAL else 64, THIRD: 64}  # upstream's second class has 896 written into it
CONDITION = "qwen_pretrain_path: ''\ntoken_frame_rate: 25\ntoken_mel_ratio: 2\nspk_embed_dim: 192\nsample_rate: 24000\n"

_LLM = """llm: !new:cosyvoice.llm.llm.{kind}
    llm_input_size: {width}
    llm_output_size: {width}
    speech_token_size: {codes}
    length_normalized_loss: True
    lsm_weight: 0
    mix_ratio: [5, 15]
    llm: !new:cosyvoice.llm.llm.Qwen2Encoder
        pretrain_path: !ref <qwen_pretrain_path>
    sampling: !name:cosyvoice.utils.common.ras_sampling
        top_p: 0.8
        top_k: 25
        win_size: 10
        tau_r: 0.1
"""
_CFM = """    decoder: !new:cosyvoice.flow.flow_matching.CausalConditionalCFM
        in_channels: 240
        n_spks: 1
        spk_emb_dim: 80
        cfm_params: !new:omegaconf.DictConfig
            content: {{sigma_min: 1e-06, solver: 'euler', t_scheduler: 'cosine', training_cfg_rate: 0.2,
                      inference_cfg_rate: 0.7, reg_loss_type: 'l1'}}
"""
_FLOW = {
    THIRD: """flow: !new:cosyvoice.flow.flow.CausalMaskedDiffWithDiT
    input_size: 80
    output_size: 80
    spk_embed_dim: !ref <spk_embed_dim>
    output_type: 'mel'
    vocab_size: {codes}
    input_frame_rate: !ref <token_frame_rate>
    only_mask_loss: True
    token_mel_ratio: !ref <token_mel_ratio>
    pre_lookahead_len: 3
    pre_lookahead_layer: !new:cosyvoice.transformer.upsample_encoder.PreLookaheadLayer
        in_channels: 80
        channels: 32
        pre_lookahead_len: 3
"""
    + _CFM
    + """        estimator: !new:cosyvoice.flow.DiT.dit.DiT
            dim: 32
            depth: 2
            heads: 2
            dim_head: 16
            ff_mult: 2
            mel_dim: 80
            mu_dim: 80
            spk_dim: 80
            out_channels: 80
            static_chunk_size: 50
            num_decoding_left_chunks: -1
""",
    SECOND: """flow: !new:cosyvoice.flow.flow.CausalMaskedDiffWithXvec
    input_size: 512
    output_size: 80
    spk_embed_dim: !ref <spk_embed_dim>
    output_type: 'mel'
    vocab_size: {codes}
    input_frame_rate: !ref <token_frame_rate>
    only_mask_loss: True
    token_mel_ratio: !ref <token_mel_ratio>
    pre_lookahead_len: 3
    encoder: !new:cosyvoice.transformer.upsample_encoder.UpsampleConformerEncoder
        output_size: 512
        attention_heads: 2
        linear_units: 32
        num_blocks: 1
        dropout_rate: 0.1
        positional_dropout_rate: 0.1
        attention_dropout_rate: 0.1
        normalize_before: True
        input_layer: 'linear'
        pos_enc_layer_type: 'rel_pos_espnet'
        selfattention_layer_type: 'rel_selfattn'
        input_size: 512
        use_cnn_module: False
        macaron_style: False
        static_chunk_size: 25
"""
    + _CFM
    + """        estimator: !new:cosyvoice.flow.decoder.CausalConditionalDecoder
            in_channels: 320
            out_channels: 80
            channels: [32]
            dropout: 0.0
            attention_head_dim: 16
            n_blocks: 1
            num_mid_blocks: 1
            num_heads: 2
            act_fn: 'gelu'
            static_chunk_size: 50
            num_decoding_left_chunks: -1
""",
}
_HIFT = """hift: !new:cosyvoice.hifigan.generator.{generator}
    in_channels: 80
    base_channels: 32
    nb_harmonics: 8
    sampling_rate: !ref <sample_rate>
    nsf_alpha: 0.1
    nsf_sigma: 0.003
    nsf_voiced_threshold: 10
    upsample_rates: [8, 5, 3]
    upsample_kernel_sizes: [16, 11, 7]
    istft_params: {{n_fft: 16, hop_len: 4}}
    resblock_kernel_sizes: [3]
    resblock_dilation_sizes: [[1, 3]]
    source_resblock_kernel_sizes: [7, 7, 11]
    source_resblock_dilation_sizes: [[1, 3], [1, 3], [1, 3]]
    lrelu_slope: 0.1
    audio_limit: 0.99
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.{predictor}
        num_class: 1
        in_channels: 80
        cond_channels: 16
"""
_REST = """get_tokenizer: !name:cosyvoice.tokenizer.tokenizer.get_qwen_tokenizer
    token_path: !ref <qwen_pretrain_path>
    skip_special_tokens: True
    version: {name}
feat_extractor: !name:matcha.utils.audio.mel_spectrogram
    n_fft: 1920
    num_mels: 80
    sampling_rate: !ref <sample_rate>
    hop_size: 480
    win_size: 1920
    fmin: 0
    fmax: null
    center: False
"""
_NAMES = {
    SECOND: {"kind": "Qwen2LM", "generator": "HiFTGenerator", "predictor": "ConvRNNF0Predictor"},
    THIRD: {"kind": "CosyVoice3LM", "generator": "CausalHiFTGenerator", "predictor": "CausalConvRNNF0Predictor"},
}


def yaml_of(name: str) -> str:
    """The yaml of a tiny model: upstream's entries with smaller numbers."""
    told = {**_NAMES[name], "name": name, "codes": CODES, "width": WIDTHS[name]}
    return "".join(part.format(**told) for part in (CONDITION, _LLM, _FLOW[name], _HIFT, _REST))


def make(folder: Path, name: str, *, seed: int = 0) -> Path:
    """Write yaml, language model's folder, weights, and (for upstream's classes) the two models in ONNX."""
    folder.mkdir(parents=True)
    (folder / info.YAMLS[name]).write_text(yaml_of(name), encoding="utf-8")
    _write_qwen(folder / info.QWEN, WIDTHS[name], seed)
    told = recipe.read(folder / info.YAMLS[name])
    with checkout.importable(CODE), torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = told["llm"].arguments["llm"]
        language = recipe.Call(
            told["llm"].path,
            {
                **told["llm"].arguments,
                "llm": recipe.Call(encoder.path, {"pretrain_path": str(folder / info.QWEN)}, False),
            },
            False,
        )
        for stem, call in (("llm", language), ("flow", told["flow"]), ("hift", told["hift"])):
            net = recipe.build(call)
            torch.manual_seed(seed + 1)
            _make_lively(net)
            torch.save({key: tensor.clone() for key, tensor in net.state_dict().items()}, folder / f"{stem}.pt")
    if IS_REAL:
        _write_onnx(folder, name)
    else:
        for file in (info.TOKENIZERS[name], info.SPEAKER_MODEL):
            (folder / file).write_text(str(CODES), encoding="utf-8")
    return folder


@torch.no_grad()
def _make_lively(net: Any) -> None:
    """Fresh weights say nearly the same whatever they are given: DiT starts with gates at zero, and so do biases."""
    for key, parameter in net.named_parameters():
        if key.endswith(("attn_norm.linear.weight", "norm_out.linear.weight", "proj_out.weight", "final_proj.weight")):
            parameter.normal_(0.0, 0.2)
        if key.endswith(("v_proj.weight", "o_proj.weight", "down_proj.weight")):
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


def _write_qwen(folder: Path, width: int, seed: int) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: place for place, letter in enumerate(alphabet)}
    if IS_REAL:
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


def _write_onnx(folder: Path, name: str) -> None:
    """Ears of the right shapes: a token every fourth frame, a vector a recording; both follow what they hear."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)

    def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> None:
        made = [numpy_helper.from_array(value, key) for key, value in weights.items()]
        graph = helper.make_graph(nodes, path.stem, inputs, outputs, made)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        onnx.save(model, str(path))

    value = helper.make_tensor_value_info
    save(
        folder / info.TOKENIZERS[name],
        [
            helper.make_node("Conv", ["feats", "w"], ["scores"], strides=[4], kernel_shape=[4]),
            helper.make_node("ArgMax", ["scores"], ["tokens"], axis=1, keepdims=0),
        ],
        [
            value("feats", TensorProto.FLOAT, [1, 128, "frames"]),
            value("feats_length", TensorProto.INT32, [1]),
        ],
        [value("tokens", TensorProto.INT64, [1, "tokens"])],
        {"w": random.normal(size=(CODES, 128, 4)).astype(np.float32)},
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
