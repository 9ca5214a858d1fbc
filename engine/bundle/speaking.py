"""A bundle spoken as anybody would speak it: the base model, PEFT's own loader, the promoted scale.

Knows PEFT and the backends' `speak`, and nothing of how Earmark hosts adapters: it is the check that an export is right
also elsewhere. Every call loads the base anew, so no other adapter can be in the way.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import backends, harness
from engine.adapter_files import FULL
from engine.bundle import prompt
from engine.bundle.record import BAKED, MERGED
from engine.bundle.variants import MERGED_FILE
from engine.types import BadInput, GenerationSettings, Refused, SpeakRow, Speech

if TYPE_CHECKING:
    from engine.backends.serve.process import Interpreter
    from engine.backends.speech_model import SpeechModel

ADAPTER = "adapter"


class _Served:
    """The adapters are in the model already: nothing to switch between rows."""

    @contextmanager
    def using(self, rows: Sequence[SpeakRow]) -> Iterator[None]:
        yield


def speak(
    folder: Path,
    voice: Mapping[str, Any],
    text: str,
    *,
    seed: int,
    variant: str = ADAPTER,
    base_model: str = "",
    device: str = "cpu",
    interpreter: Interpreter | None = None,
) -> Speech:
    """Speak `text` with the voice in `folder`, described by its `voice.json`. `variant` is adapter, baked or merged.
    With an interpreter it is spoken in a process of that, which ends then.

    Raises Refused for another base than the voice was trained on, BadInput for weights that do not fit.
    """
    if interpreter is not None:
        given = {"seed": seed, "variant": variant, "base_model": base_model, "device": device}
        return _elsewhere(interpreter, {"folder": str(folder.resolve()), "voice": dict(voice), "text": text, **given})
    model = backends.load(voice["backend"], base_model, device)
    if model.base_sha256 != voice["base_sha256"]:
        raise Refused(
            f"{folder} was trained on base {voice['base_sha256'][:12]} and {model.name} is {model.base_sha256[:12]} "
            "here; install the version that it was exported with."
        )
    for part in voice["parts"]:
        _load(model, part, folder, variant, voice)
    rows = harness.rows(
        text,
        voice=voice["voice"],
        seed=seed,
        adapter_sha256=voice["adapter_sha256"],
        lora_scale=voice["lora_scale"],
        voice_settings=voice["voice_settings"],
        settings=GenerationSettings(**voice["settings"]),
        reference=prompt.read(folder),
    )
    return harness.joined(model.speak(rows, mixer=_Served()))


def _elsewhere(interpreter: Interpreter, message: Mapping[str, Any]) -> Speech:
    from engine.backends.serve import frames
    from engine.backends.serve.process import SERVED, Patience, VoiceProcess

    patience, environment = Patience(), {**os.environ, SERVED: message["voice"]["backend"]}
    process = VoiceProcess(interpreter, environment, give_up_sec=patience.give_up_sec)
    try:
        told, payload = process.ask({"do": "speak_bundle", **message}, silence_sec=patience.load_sec)
    finally:
        process.close()
    return frames.speeches_from_frame(told["speeches"], payload)[0]


def _load(model: SpeechModel, part: str, folder: Path, variant: str, voice: Mapping[str, Any]) -> None:
    from engine import full_weights

    if variant == MERGED:
        _load_merged(model, part, folder / MERGED / part / MERGED_FILE)
        return
    if voice["kind"] == FULL:
        weights = full_weights.difference(folder / part, model.part(part))
        full_weights.Overlay(model.part(part)).lay(weights, voice["lora_scale"])
        return
    from peft import PeftModel
    from safetensors import SafetensorError

    source = folder / BAKED / part if variant == BAKED else folder / part
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            tuned = PeftModel.from_pretrained(model.part(part), str(source), use_safetensors=True)
    except (SafetensorError, ValueError, RuntimeError, KeyError, OSError) as error:
        raise BadInput(f"PEFT cannot load {source} ({error}); export it again.") from error
    for layer in tuned.modules():
        set_scale: Any = getattr(layer, "set_scale", None)
        if variant == ADAPTER and set_scale is not None:
            set_scale("default", voice["lora_scale"])
    tuned.eval().requires_grad_(False)


def _load_merged(model: SpeechModel, part: str, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        model.part(part).load_state_dict(load_file(str(path)), strict=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise BadInput(f"{path} does not fit {model.name}'s {part} ({error}); export it again.") from error
