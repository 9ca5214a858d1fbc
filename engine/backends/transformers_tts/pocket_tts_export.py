"""What an exported Pocket TTS voice carries beside its adapter: a script that speaks with transformers and PEFT alone.

The base weights stay where they are: they are not ours to pass on. Upstream's tools read PEFT's format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.types import Adapter

SCRIPT = '''"""Speak one line: `python speak.py MODEL_FOLDER "Hello." hello.wav`, the base model being in MODEL_FOLDER,
its codec in MODEL_FOLDER/audio_tokenizer or where its processor's config says. It needs torch, transformers, peft and
soundfile. For a long text, speak its sentences one by one."""
import json, pathlib, sys
import peft, soundfile, torch
from torch import nn
from transformers import AutoTokenizer, PocketTTSAudioTokenizerModel, PocketTTSFeatureExtractor
from transformers import PocketTTSForConditionalGeneration, PocketTTSProcessor
HERE, BASE = pathlib.Path(__file__).resolve().parent, pathlib.Path(sys.argv[1])
if not BASE.is_dir():  # its name on the hub: owner/name@revision
    from huggingface_hub import snapshot_download
    name, _, revision = sys.argv[1].partition("@")
    BASE = pathlib.Path(snapshot_download(name, revision=revision or None))
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 42
voice = json.loads((HERE / "voice.json").read_text(encoding="utf-8"))
told = json.loads((BASE / "processor_config.json").read_text(encoding="utf-8"))
CODEC = BASE / "audio_tokenizer"
if not CODEC.is_dir():
    CODEC = told["audio_tokenizer"]["audio_tokenizer_name_or_path"]
names = ("short_text_max_words", "frames_after_eos_short_text", "frames_after_eos", "fade_in_duration")
processor = PocketTTSProcessor(
    PocketTTSFeatureExtractor.from_pretrained(BASE), AutoTokenizer.from_pretrained(BASE),
    audio_tokenizer=PocketTTSAudioTokenizerModel.from_pretrained(CODEC),
    chat_template=(BASE / "chat_template.jinja").read_text(encoding="utf-8"),
    **{name: told[name] for name in names if name in told})
net = PocketTTSForConditionalGeneration.from_pretrained(BASE).eval()
parts = {"lm": nn.ModuleDict({"model": net.model, "eos_head": net.eos_head}), "flow": net.flow_head}
for part in voice["parts"]:
    for layer in peft.PeftModel.from_pretrained(parts[part], str(HERE / part)).eval().modules():
        if hasattr(layer, "set_scale"):
            layer.set_scale("default", voice["lora_scale"])
said = [{"type": "text", "text": sys.argv[2]}]
if voice["voice"] != "default":
    prompt, rate = soundfile.read(next((BASE / "voices").glob(voice["voice"] + ".*")), dtype="float32")
    assert (rate, prompt.ndim) == (processor.feature_extractor.sampling_rate, 1), "the voice must be mono, at its rate"
    said.insert(0, {"type": "audio", "audio": prompt})
batch = processor.apply_chat_template([{"role": "user", "content": said}], tokenize=True, return_dict=True,
                                      processor_kwargs={"return_tensors": "pt"})
torch.manual_seed(SEED)
heat = voice["settings"]["temperature"]
drawn = net.generate(**batch, do_sample=heat > 0, **({"temperature": heat} if heat > 0 else {}),
                     return_dict_in_generate=True)
samples = processor.decode(drawn.audio_latents, drawn.audio_latents_mask)[0].clamp(-1, 1).numpy()
soundfile.write(sys.argv[3], samples, processor.feature_extractor.sampling_rate, subtype="FLOAT")
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
