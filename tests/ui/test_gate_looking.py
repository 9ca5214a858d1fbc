"""What a tab of the Gate page looks at while answers are on their way."""

from __future__ import annotations

import gradio as gr

from ui.gate_looking import Look, Looking, Offers


def test_what_is_drawn_is_what_is_looked_at_when_it_is_done() -> None:
    """Who turns to another run while a picture is made gets the picture of that run, and each list once."""
    looking = Looking()
    looking.turn_to("release", "wren", "all tiers", "cell")

    def draw(look: Look, offers: Offers) -> tuple[object, ...]:
        if look.run == "wren":
            looking.turn_to("release", "robin", "long")
        return look.run, look.cell, offers.update("passed", [look.gate], value=None)

    assert looking.drawn(draw) == ("robin", "cell", gr.update(choices=["release"], value=None))


def test_a_list_that_did_not_change_is_left_alone() -> None:
    """What somebody chose from it stays chosen; a changed one is drawn with its new choices."""
    looking = Looking()

    def draw(choices: list[str]) -> object:
        return looking.drawn(lambda _, offers: (offers.update("going", choices, value=choices),))[0]

    assert draw(["a", "b"]) == gr.update(choices=["a", "b"], value=["a", "b"])
    assert draw(["a", "b"]) == gr.skip()
    assert draw(["a"]) == gr.update(choices=["a"], value=["a"])
