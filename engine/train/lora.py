"""LoRA adapters on the parts of a loaded model, by PEFT: injected, trained, saved in PEFT's own format, loaded again.

Knows PEFT and torch. Knows no events, no epochs and no files but those of one adapter. The base's weights are never
written to: every parameter of a part is frozen before its adapter is injected, and only the adapter's reach the
optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.train.seeds import derive, set_generators
from engine.types import BadInput, RunConfig

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

    from engine.backends import SpeechModel

CARD = "README.md"  # PEFT writes an empty model card; an export has a real one


@dataclass(frozen=True, kw_only=True)
class TrainedPart:
    """One part under training.

    `parameters` are the adapter's, by their names in the model; `peak_rate` is this part's.
    """

    name: str
    module: PeftModel
    parameters: Mapping[str, torch.nn.Parameter]
    optimizer: torch.optim.AdamW
    peak_rate: float


def attach(model: SpeechModel, config: RunConfig) -> list[TrainedPart]:
    """Inject a fresh adapter into each part that the config names, in the model's order; weights follow the seed."""
    offered = {part.name: part for part in model.lora_parts()}
    strange = [name for name in config.parts if name not in offered]
    if strange:
        raise BadInput(f"{model.name} has no part {strange[0]!r}; it has: {', '.join(offered)}.")
    for name in offered:
        model.part(name).requires_grad_(False)
    return [
        _attach_one(model, name, part.target_modules, config.learning_rate * part.learning_rate_factor, config)
        for name, part in offered.items()
        if name in config.parts
    ]


def _attach_one(
    model: SpeechModel, name: str, targets: tuple[str, ...], peak_rate: float, config: RunConfig
) -> TrainedPart:
    import torch
    from peft import LoraConfig, get_peft_model

    set_generators(derive(config.seed, "adapter", name))
    # PEFT declares alpha whole but computes alpha / r; other programs that read the file expect a whole number if it
    # is one.
    alpha = int(config.alpha) if config.alpha == int(config.alpha) else config.alpha
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=list(targets),
        bias="none",
    )
    module = get_peft_model(model.part(name), lora)
    parameters = {key: p for key, p in module.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(parameters.values(), lr=peak_rate, weight_decay=config.weight_decay)
    return TrainedPart(name=name, module=module, parameters=parameters, optimizer=optimizer, peak_rate=peak_rate)


def save(part: TrainedPart, folder: Path) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors` into `folder/<part>`."""
    target = folder / part.name
    # Without False PEFT may ask a model hub whether the base's embeddings were resized.
    part.module.save_pretrained(str(target), save_embedding_layers=False)
    (target / CARD).unlink(missing_ok=True)


def load(part: TrainedPart, folder: Path) -> None:
    """Replace a part's adapter weights by those of `folder/<part>`. Raises BadInput when they do not fit exactly."""
    from peft import set_peft_model_state_dict
    from peft.utils.save_and_load import load_peft_weights

    weights = load_peft_weights(str(folder / part.name), device="cpu")
    result: Any = set_peft_model_state_dict(part.module, weights)  # torch's named tuple of missing and unexpected keys
    missing = [key for key in result.missing_keys if key in part.parameters]
    if result.unexpected_keys or missing or len(weights) != len(part.parameters):
        raise BadInput(
            f"The adapter in {folder / part.name} does not fit this model; resume with the base it was trained on."
        )
