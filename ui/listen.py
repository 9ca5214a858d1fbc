"""The Listen page: one blind trial at a time. No navigation, no model, no run.

Everything a trial shows comes over our own routes (`ui.routes`) into `assets/ui/listen.js`; Gradio carries the frame
alone, so that nothing of a trial is ever part of a page's config or event stream.
"""

from __future__ import annotations

import gradio as gr

from ui import theme

FRAME = """<div data-listen><div data-stage><p class="em-quiet">Opening your sitting …</p></div>
<div class="em-visually-hidden" role="status" aria-live="polite"></div></div>"""

MOUNT = 'import("/look/listen.js").then((page) => page.mount(element));'


def build() -> gr.Blocks:
    """The reviewer's app: a page of its own that shares no config with the engineers' pages."""
    page: gr.Blocks
    with gr.Blocks(title="Earmark: Listen", analytics_enabled=False) as page:
        theme.reviewer_header()
        theme.html(FRAME, js_on_load=MOUNT)
    return page
