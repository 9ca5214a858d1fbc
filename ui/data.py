"""The Data page: open recordings, audit them, listen and decide row by row, prepare a dataset, make the demo voice.

Gradio carries the frame alone. Everything else comes over our own routes (`ui.data_routes`) into `assets/ui/desk.js`: a
set of 10,000 rows is filtered on the server, a page at a time, and typing goes on while something is saved.
"""

from __future__ import annotations

from ui import theme

FRAME = """<div data-desk class="em-desk"><div data-stage><p class="em-quiet">Opening the desk …</p></div>
<div class="em-toasts" data-toasts></div>
<div class="em-visually-hidden" role="status" aria-live="polite" data-live></div>
<noscript><p class="em-notice em-bad">This page needs JavaScript.</p></noscript></div>"""

MOUNT = 'import("/look/desk.js").then((page) => page.mount(element));'


def build() -> None:
    """Build the page inside the current Blocks."""
    theme.header("Data")
    theme.html(FRAME, js_on_load=MOUNT)
