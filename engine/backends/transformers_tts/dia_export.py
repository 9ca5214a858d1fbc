"""What an exported Dia voice carries beside its adapter: a script that speaks with transformers and PEFT alone.

The base weights stay where they are: they are some gigabytes and not ours to pass on. Upstream's tools read PEFT's
format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.types import Adapter

SCRIPT = '''"""Speak one line: `python speak.py MODEL_FOLDER "Hello." hello.wav`, the base model being in MODEL_FOLDER,
its codec in MODEL_FOLDER/audio_tokenizer or where its processor's config says. It needs torch, transformers, peft and
soundfile. Its noise is not Earmark's: a seed is another clip of one voice; upstream raises a temperature below 1."""
import json, math, pathlib, sys
import peft, soundfile, torch
from torch import nn
from transformers import AutoTokenizer, DacModel, DiaFeatureExtractor, DiaForConditionalGeneration, DiaProcessor
HERE, BASE = pathlib.Path(__file__).resolve().parent, pathlib.Path(sys.argv[1])
if not BASE.is_dir():  # its name on the hub: owner/name@revision
    from huggingface_hub import snapshot_download
    name, _, revision = sys.argv[1].partition("@")
    BASE = pathlib.Path(snapshot_download(name, revision=revision or None))
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 42
voice = json.loads((HERE / "voice.json").read_text(encoding="utf-8"))
CODEC = BASE / "audio_tokenizer"
if not CODEC.is_dir():
    told = json.loads((BASE / "processor_config.json").read_text(encoding="utf-8"))
    CODEC = told["audio_tokenizer"]["audio_tokenizer_name_or_path"]
processor = DiaProcessor(DiaFeatureExtractor.from_pretrained(BASE), AutoTokenizer.from_pretrained(BASE),
                         DacModel.from_pretrained(CODEC))
net = DiaForConditionalGeneration.from_pretrained(BASE).eval()
parts = {"lm": nn.ModuleDict({"decoder": net.model.decoder, "logits_dense": net.logits_dense}),
         "text": net.model.encoder}
for part in voice["parts"]:
    for layer in peft.PeftModel.from_pretrained(parts[part], str(HERE / part)).eval().modules():
        if hasattr(layer, "set_scale"):
            layer.set_scale("default", voice["lora_scale"])
text, decoder, told = sys.argv[2], net.config.decoder_config, voice["settings"]
marks = {"delay_pattern": net.config.delay_pattern, "bos_token_id": decoder.bos_token_id,
         "eos_token_id": decoder.eos_token_id, "pad_token_id": decoder.pad_token_id}
batch = processor(text=[text if text.startswith("[S") else f"[S1] {text}"], return_tensors="pt", **marks)
rate = processor.feature_extractor.sampling_rate
frame_rate = rate / processor.audio_tokenizer.config.hop_length
frames = max(1, math.ceil((len(text) / 14 + 1) * frame_rate * told["max_factor"]))
drawing = {"do_sample": told["temperature"] > 0, "guidance_scale": net.generation_config.guidance_scale or 3.0}
if told["top_k"] > 0:
    drawing["top_k"] = told["top_k"]
if drawing["do_sample"]:
    drawing |= {"temperature": told["temperature"], "top_p": told["top_p"]}
torch.manual_seed(SEED)
drawn = net.generate(**batch, **drawing, max_new_tokens=frames + max(net.config.delay_pattern) + 1)
audio = processor.batch_decode(drawn, **marks)[0]
soundfile.write(sys.argv[3], audio.float().clamp(-1, 1).numpy(), rate, subtype="FLOAT")
'''


def script() -> str:
    """The text of `speak.py`."""
    return SCRIPT


def code_files() -> Mapping[str, Path]:
    """None: transformers is the code."""
    return {}


def write_native(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """Write the layout that upstream's tools expect into `folder`; False: PEFT's own is that."""
    return False
