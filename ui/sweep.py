"""The Sweep page: render checkpoints at scales, see a measure as a grid, listen in place, send candidates to blind
listening.

Gradio carries the frame alone. Everything else comes over our own routes (`ui.sweep_routes`) into `assets/ui/sweep.js`:
going from cell to cell while a clip plays must not wait for a page to be drawn.
"""

from __future__ import annotations

from ui import theme, view, view_sweep

NOTHING = view.empty(
    "Nothing to sweep yet",
    (
        "A sweep renders every checkpoint of a run at several scales, so that you can hear which one to keep. Start "
        "a run first."
    ),
    ("Start a run", "/runs"),
    ("Make the demo voice", "/?demo=1"),
)
KINDS = (
    ("gate", "blind gate: pass or fail"),
    ("preference", "A/B: which one is better"),
    ("abx", "ABX: can they be told apart"),
    ("cmos", "CMOS: how much better"),
    ("mos", "MOS: 1 to 5 each"),
    ("multi", "up to eight side by side"),
)
_KINDS = "".join(f'<option value="{kind}">{told}</option>' for kind, told in KINDS)
FRAME = f"""<div data-sweep-page class="em-sweep">
<div class="em-row em-between em-sweep-top"><div class="em-row"><h1>Sweep</h1>
<label class="em-visually-hidden" for="run">Run</label><select id="run" data-run></select>
<small class="em-quiet" data-told></small></div>
<div class="em-row"><button type="button" data-act="ask" aria-expanded="false" aria-controls="ask">Add clips</button>
<button type="button" class="em-primary" data-act="send-open" disabled>Send to a blind test</button></div></div>
<div data-nothing hidden>{NOTHING}</div>
<div data-going></div>
<section id="ask" class="em-card" data-ask hidden></section>
<section class="em-card em-send" data-send hidden><h2>Send to blind listening</h2><div class="em-fields">
<div class="em-field" data-marked></div>
<label class="em-field" for="kind"><b>Test</b><select id="kind">{_KINDS}</select></label>
<label class="em-field" for="of-gate" data-of-gate><b>Gate</b><select id="of-gate"></select></label>
<div class="em-field em-person" id="reviewer"><label for="reviewer-name"><b>Reviewer</b></label>
<input id="reviewer-name" autocomplete="off"></div>
<button type="button" class="em-primary" id="send" data-act="send">Open the sitting</button></div>
<div data-outline></div><div data-sent role="status"></div></section>
<div data-trouble class="em-notice em-bad" role="alert" hidden></div>
<div class="em-grid2 em-sweep-main" data-shown hidden>
<div class="em-stack"><section class="em-card em-stack"><div class="em-row em-look">
<label for="measure">Colour by</label><select id="measure"></select>
<label class="em-visually-hidden" for="tier">Tier</label><select id="tier"><option value="">all tiers</option>
<option>short</option><option>medium</option><option>long</option></select>
<label class="em-visually-hidden" for="of-script">Script</label><select id="of-script"></select>
<label class="em-visually-hidden" for="of-reference">Reference</label><select id="of-reference"></select></div>
<p class="em-quiet" data-about></p><div data-grid></div><div data-short></div></section>
<section class="em-card" data-trend-card hidden><h2>Over the epochs</h2><div data-trend></div></section></div>
<div class="em-stack"><section class="em-card em-panel-clip"><div class="em-row em-takes" data-takes></div>
<div data-panel>{view_sweep.PICK_A_CELL}</div></section>
<section class="em-card" data-leaks-card hidden><h2>Leak of the reference</h2><div data-leaks></div></section>
<section class="em-card" data-curves-card hidden><h2>What scale does</h2><div data-curves></div></section></div></div>
<dialog class="em-editor" data-editor></dialog>
<div class="em-visually-hidden" role="status" aria-live="polite" data-live></div>
<noscript><p class="em-notice em-bad">This page needs JavaScript.</p></noscript></div>"""
MOUNT = 'import("/look/sweep.js").then((page) => page.mount(element));'


def build() -> None:
    """Build the page inside the current Blocks."""
    theme.header("Sweep")
    theme.html(FRAME, js_on_load=MOUNT)
