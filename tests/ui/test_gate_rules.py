"""The form of a gate's rules: what it says of the control comes into the gate."""

from __future__ import annotations

import pytest

from engine.types import Control, ControlPrompt
from ui import gate_rules

KEPT = Control(backend="cosyvoice2", voice="default", base_sha256="b" * 64)


@pytest.mark.parametrize(
    ("base", "prompt", "expected"),
    [
        (gate_rules.OWN_BASE, "same", None),
        ("cosyvoice2/default", "same", KEPT),
        ("cosyvoice2/default", "none", Control(**{**vars(KEPT), "prompt": ControlPrompt.NONE})),
        ("finch/reed", "none", Control(backend="finch", voice="reed", prompt=ControlPrompt.NONE)),
        (
            "finch/reed",
            "a" * 64,
            Control(backend="finch", voice="reed", prompt=ControlPrompt.OWN, reference_sha256="a" * 64),
        ),
    ],
)
def test_the_control_is_what_the_form_says(base: str, prompt: str, expected: Control | None) -> None:
    """The candidate's own base is none; the same base keeps the weights that the gate names, another one names none."""
    assert gate_rules._control(base, prompt, KEPT) == expected
