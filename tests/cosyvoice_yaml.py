"""The yaml of a tiny CosyVoice: upstream's entries with smaller numbers."""

from __future__ import annotations

import os

from engine.backends.cosyvoice.versions import FIRST, SECOND, THIRD

CODES = 300  # with fewer, random weights stop at once: the ids that end are 200
IS_REAL = bool(os.environ.get("COSYVOICE_DIR"))
WIDTHS = {FIRST: 64, SECOND: 896 if IS_REAL else 64, THIRD: 64}  # upstream's second class has 896 written into it
_CONDITION = (
    "qwen_pretrain_path: ''\ntoken_frame_rate: 25\ntoken_mel_ratio: 2\nspk_embed_dim: 192\nsample_rate: 24000\n"
)
_FIRST_CONDITION = "spk_embed_dim: 192\nsample_rate: 22050\n"

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
_FIRST_LLM = """llm: !new:cosyvoice.llm.llm.TransformerLM
    text_encoder_input_size: 32
    llm_input_size: {width}
    llm_output_size: {width}
    text_token_size: 51866
    speech_token_size: {codes}
    length_normalized_loss: True
    lsm_weight: 0
    spk_embed_dim: !ref <spk_embed_dim>
    text_encoder: !new:cosyvoice.transformer.encoder.ConformerEncoder
        input_size: 32
        output_size: {width}
        attention_heads: 2
        linear_units: 64
        num_blocks: 1
        dropout_rate: 0.1
        positional_dropout_rate: 0.1
        attention_dropout_rate: 0.0
        normalize_before: True
        input_layer: 'linear'
        pos_enc_layer_type: 'rel_pos_espnet'
        selfattention_layer_type: 'rel_selfattn'
        use_cnn_module: False
        macaron_style: False
        use_dynamic_chunk: False
        use_dynamic_left_chunk: False
        static_chunk_size: 1
    llm: !new:cosyvoice.transformer.encoder.TransformerEncoder
        input_size: {width}
        output_size: {width}
        attention_heads: 2
        linear_units: 64
        num_blocks: 2
        dropout_rate: 0.1
        positional_dropout_rate: 0.1
        attention_dropout_rate: 0.0
        input_layer: 'linear_legacy'
        pos_enc_layer_type: 'rel_pos_espnet'
        selfattention_layer_type: 'rel_selfattn'
        static_chunk_size: 1
    sampling: !name:cosyvoice.utils.common.ras_sampling
        top_p: 0.8
        top_k: 25
        win_size: 10
        tau_r: 0.1
"""
_FLOW = {
    FIRST: """flow: !new:cosyvoice.flow.flow.MaskedDiffWithXvec
    input_size: 32
    output_size: 80
    spk_embed_dim: !ref <spk_embed_dim>
    output_type: 'mel'
    vocab_size: {codes}
    input_frame_rate: 50
    only_mask_loss: True
    encoder: !new:cosyvoice.transformer.encoder.ConformerEncoder
        output_size: 32
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
        input_size: 32
        use_cnn_module: False
        macaron_style: False
    length_regulator: !new:cosyvoice.flow.length_regulator.InterpolateRegulator
        channels: 80
        sampling_ratios: [1]
"""
    + _CFM.replace("CausalConditionalCFM", "ConditionalCFM")
    + """        estimator: !new:cosyvoice.flow.decoder.ConditionalDecoder
            in_channels: 320
            out_channels: 80
            channels: [32, 32]
            dropout: 0.0
            attention_head_dim: 16
            n_blocks: 1
            num_mid_blocks: 1
            num_heads: 2
            act_fn: 'gelu'
""",
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
    upsample_rates: {rates}
    upsample_kernel_sizes: {kernels}
    istft_params: {{n_fft: 16, hop_len: 4}}
    resblock_kernel_sizes: [3]
    resblock_dilation_sizes: [[1, 3]]
    source_resblock_kernel_sizes: {sources}
    source_resblock_dilation_sizes: {dilations}
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
_FIRST_REST = """get_tokenizer: !name:whisper.tokenizer.get_tokenizer
    multilingual: True
    num_languages: 100
    language: 'en'
    task: 'transcribe'
allowed_special: 'all'
feat_extractor: !name:matcha.utils.audio.mel_spectrogram
    n_fft: 1024
    num_mels: 80
    sampling_rate: !ref <sample_rate>
    hop_size: 256
    win_size: 1024
    fmin: 0
    fmax: 8000
    center: False
"""
_SHARED = {
    "generator": "HiFTGenerator",
    "predictor": "ConvRNNF0Predictor",
    "rates": [8, 5, 3],
    "kernels": [16, 11, 7],
    "sources": [7, 7, 11],
    "dilations": [[1, 3]] * 3,
}
_NAMES = {
    FIRST: {"rates": [8, 8], "kernels": [16, 16], "sources": [7, 11], "dilations": [[1, 3]] * 2},
    SECOND: {"kind": "Qwen2LM"},
    THIRD: {"kind": "CosyVoice3LM", "generator": "CausalHiFTGenerator", "predictor": "CausalConvRNNF0Predictor"},
}


def yaml_of(name: str) -> str:
    """The yaml of a tiny model."""
    told = {**_SHARED, **_NAMES[name], "name": name, "codes": CODES, "width": WIDTHS[name]}
    parts = (_CONDITION, _LLM, _FLOW[name], _HIFT, _REST)
    if name == FIRST:
        parts = (_FIRST_CONDITION, _FIRST_LLM, _FLOW[name], _HIFT, _FIRST_REST)
    return "".join(part.format(**told) for part in parts)
