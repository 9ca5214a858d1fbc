"""What forms on several pages offer: base voices of a model whose weights may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from engine.types import NotFound

if TYPE_CHECKING:
    from engine.studio import Studio


def base_voices(studio: Studio, backend: str) -> tuple[str, ...]:
    """The voices of a backend. Without its weights there are none, and a warning says how to get them."""
    try:
        return studio.base_voices(backend)
    except NotFound as error:
        gr.Warning(str(error))
        return ()
