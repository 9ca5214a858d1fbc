"""What an exported CSM voice carries beside its adapter: a script that speaks with transformers and PEFT alone.

The base weights stay where they are: they are some gigabytes and not ours to pass on. Upstream's tools read PEFT's
format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.types import Adapter

SCRIPT = '''"""Speak one line: `python speak.py MODEL_FOLDER "Hello." hello.wav`, the base model being in MODEL_FOLDER.
It needs torch, transformers, peft and soundfile. Its noise is not Earmark's: a seed is another clip of one voice."""
import json, pathlib, sys
import peft, soundfile, torch
from torch import nn
from transformers import AutoTokenizer, CsmForConditionalGeneration, CsmProcessor, EncodecFeatureExtractor
HERE, BASE = pathlib.Path(__file__).resolve().parent, pathlib.Path(sys.argv[1])
if not BASE.is_dir():  # its name on the hub: owner/name@revision
    from huggingface_hub import snapshot_download
    name, _, revision = sys.argv[1].partition("@")
    BASE = pathlib.Path(snapshot_download(name, revision=revision or None))
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 42
voice = json.loads((HERE / "voice.json").read_text(encoding="utf-8"))
processor = CsmProcessor(EncodecFeatureExtractor.from_pretrained(BASE), AutoTokenizer.from_pretrained(BASE),
                         chat_template=(BASE / "chat_template.jinja").read_text(encoding="utf-8"))
net = CsmForConditionalGeneration.from_pretrained(BASE).eval()
depth = net.depth_decoder
joined = {"layers": depth.model.layers, "norm": depth.model.norm,
          "inputs_embeds_projector": depth.model.inputs_embeds_projector, "codebooks_head": depth.codebooks_head}
lm = {"backbone_model": net.backbone_model, "lm_head": net.lm_head, "embed_text_tokens": net.embed_text_tokens}
parts = {"lm": nn.ModuleDict(lm), "depth": nn.ModuleDict(joined)}
for part in voice["parts"]:
    for layer in peft.PeftModel.from_pretrained(parts[part], str(HERE / part)).eval().modules():
        if hasattr(layer, "set_scale"):
            layer.set_scale("default", voice["lora_scale"])
said = [{"role": "0", "content": [{"type": "text", "text": sys.argv[2]}]}]
batch = processor(text=[processor.apply_chat_template(said)], return_tensors="pt")
torch.manual_seed(SEED)
told, rate = voice["settings"], processor.feature_extractor.sampling_rate
drawing = {"do_sample": told["temperature"] > 0}
if drawing["do_sample"]:
    drawing |= {"temperature": told["temperature"], "top_k": told["top_k"], "top_p": told["top_p"]}
frames = max(1, int((len(sys.argv[2]) / 14 + 1) * 12.5 * told["max_factor"]))
audio = net.generate(**batch, **drawing, **{f"depth_decoder_{name}": value for name, value in drawing.items()},
                     max_new_tokens=frames, output_audio=True)[0]
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
