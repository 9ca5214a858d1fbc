"""LoRA adapters on the parts of a loaded model, by PEFT: injected, trained, saved in PEFT's own format, loaded again.

Knows PEFT and torch. Knows no events, no epochs and no files but those of one adapter. The base's weights are never
written to: every parameter of a part is frozen before its adapter is injected, and only the adapter's reach the
optimizer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from engine.train import optimizers
from engine.train.seeds import derive, set_generators
from engine.train.trained_part import TrainedPart, in_memory
from engine.types import BadInput, RunConfig

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor

    from engine.backends.speech_model import LoraPart, SpeechModel


@dataclass(frozen=True, kw_only=True)
class AdaptedPart(TrainedPart):
    """A part with an adapter; `parameters` are the adapter's. `description` is its `adapter_config.json`, by PEFT."""

    module: PeftModel
    description: str

    def weights(self) -> dict[str, Tensor]:
        from peft import get_peft_model_state_dict

        # Without False PEFT may ask a model hub whether the base's embeddings were resized.
        found = get_peft_model_state_dict(self.module, save_embedding_layers=False)
        return {name: in_memory(tensor) for name, tensor in found.items()}

    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        from safetensors.torch import save_file

        target = folder / self.name
        target.mkdir()
        (target / CONFIG_FILE).write_text(self.description, encoding="utf-8")
        save_file(dict(weights), target / WEIGHTS_FILE, metadata={"format": "pt"})

    def load(self, folder: Path) -> None:
        from peft import set_peft_model_state_dict
        from peft.utils.save_and_load import load_peft_weights

        weights = load_peft_weights(str(folder / self.name), device="cpu")
        result: Any = set_peft_model_state_dict(self.module, weights)  # torch's tuple of missing and unexpected keys
        missing = [key for key in result.missing_keys if key in self.parameters]
        if result.unexpected_keys or missing or len(weights) != len(self.parameters):
            raise BadInput(
                f"The adapter in {folder / self.name} does not fit this model; resume with the base it was trained on."
            )


def attach(model: SpeechModel, part: LoraPart, config: RunConfig) -> AdaptedPart:
    """Inject a fresh adapter into a part. Raises BadInput when it has none of the modules that the config names."""
    from peft import LoraConfig, get_peft_model

    set_generators(derive(config.seed, "adapter", part.name))
    # PEFT declares alpha whole but computes alpha / r; other programs that read the file expect a whole number if it
    # is one.
    alpha = int(config.alpha) if config.alpha == int(config.alpha) else config.alpha
    targets = _targets(model, part, config)
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=list(targets),
        bias="none",
    )
    module = get_peft_model(model.part(part.name), lora)
    parameters = {key: p for key, p in module.named_parameters() if p.requires_grad}
    peak_rate = config.learning_rate * part.learning_rate_factor
    return AdaptedPart(
        name=part.name,
        module=module,
        parameters=parameters,
        optimizer=optimizers.make(parameters.values(), config, peak_rate),
        peak_rate=peak_rate,
        description=_description(module),
    )


def _targets(model: SpeechModel, part: LoraPart, config: RunConfig) -> tuple[str, ...]:
    """The modules of a part that get an adapter: of those that the config names, the ones this part has."""
    if not config.target_modules:
        return part.target_modules
    names = [name for name, _ in model.part(part.name).named_modules()]
    found = tuple(t for t in config.target_modules if any(n == t or n.endswith(f".{t}") for n in names))
    if not found:
        raise BadInput(
            f"Part {part.name} of {model.name} has no module named {', '.join(config.target_modules)}; its own are "
            f"{', '.join(part.target_modules)}. Change Target modules, or leave the part out."
        )
    return found


def _description(module: PeftModel) -> str:
    """The adapter's config as PEFT writes it; the numbers of every checkpoint follow it."""
    with tempfile.TemporaryDirectory() as folder:
        module.save_pretrained(folder, save_embedding_layers=False)
        return (Path(folder) / CONFIG_FILE).read_text(encoding="utf-8")
