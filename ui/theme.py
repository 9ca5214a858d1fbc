"""How Gradio is made to wear Earmark's look: its theme variables, our style sheets, the header and the scripts of a
page.

The colours themselves live in `assets/ui/earmark.css` alone; here Gradio's variables are pointed at them.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

LOOK = Path(__file__).parents[1] / "assets" / "ui"
ICON = LOOK / "icon.png"
PAGES = (
    ("Data", "/"),
    ("Runs", "/runs"),
    ("Sweep", "/sweep"),
    ("Tests", "/tests"),
    ("Listen", "/listen/"),
    ("Results", "/results"),
    ("Gate", "/gate"),
    ("Voices", "/voices"),
)

# Gradio's variable -> ours. Each is the same word in light and dark, since our words change their value by themselves.
_WEARS = {
    "background_fill_primary": "var(--card)",
    "background_fill_secondary": "var(--paper)",
    "block_background_fill": "var(--card)",
    "block_border_color": "var(--rule)",
    "block_border_width": "0px",
    "block_info_text_color": "var(--quiet)",
    "block_label_background_fill": "transparent",
    "block_label_border_width": "0px",
    "block_label_text_color": "var(--quiet)",
    "block_padding": "0px",
    "block_radius": "var(--r)",
    "block_shadow": "none",
    "block_title_text_color": "var(--ink)",
    "block_title_text_weight": "600",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--quiet)",
    "border_color_accent": "var(--accent)",
    "border_color_primary": "var(--rule)",
    "button_border_width": "1px",
    "button_cancel_background_fill": "var(--card)",
    "button_cancel_border_color": "var(--fail)",
    "button_cancel_text_color": "var(--fail)",
    "button_large_radius": "8px",
    "button_large_text_weight": "500",
    "button_medium_radius": "8px",
    "button_medium_text_weight": "500",
    "button_primary_background_fill": "var(--accent)",
    "button_primary_background_fill_hover": "var(--accent)",
    "button_primary_border_color": "var(--accent)",
    "button_primary_text_color": "var(--accent-ink)",
    "button_secondary_background_fill": "var(--card)",
    "button_secondary_background_fill_hover": "var(--card)",
    "button_secondary_border_color": "var(--rule)",
    "button_secondary_border_color_hover": "var(--ink)",
    "button_secondary_text_color": "var(--ink)",
    "checkbox_background_color": "var(--card)",
    "checkbox_background_color_selected": "var(--accent)",
    "checkbox_border_color": "var(--none)",
    "checkbox_border_color_selected": "var(--accent)",
    "checkbox_label_background_fill": "var(--card)",
    "checkbox_label_background_fill_selected": "var(--soft)",
    "checkbox_label_border_color": "var(--rule)",
    "checkbox_label_border_width": "1px",
    "checkbox_label_shadow": "none",
    "checkbox_label_text_color": "var(--ink)",
    "color_accent": "var(--accent)",
    "color_accent_soft": "var(--soft)",
    "error_background_fill": "var(--card)",
    "error_border_color": "var(--fail)",
    "error_text_color": "var(--ink)",
    "input_background_fill": "var(--card)",
    "input_border_color": "var(--rule)",
    "input_border_color_focus": "var(--accent)",
    "input_border_width": "1px",
    "input_placeholder_color": "var(--none)",
    "input_radius": "8px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "link_text_color": "var(--accent)",
    "loader_color": "var(--accent)",
    "panel_background_fill": "var(--card)",
    "panel_border_color": "var(--rule)",
    "shadow_drop": "none",
    "shadow_drop_lg": "none",
    "slider_color": "var(--accent)",
    "table_border_color": "var(--rule)",
}


def theme() -> gr.themes.Base:
    """Gradio's theme in our words. Fonts are the system's: nothing is fetched from a network."""
    base = gr.themes.Base(
        font=["ui-sans-serif", "system-ui", "sans-serif"],  # plain strings are the system's fonts
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    )
    both = {}
    for name, value in _WEARS.items():
        both[name] = value
        if hasattr(base, f"{name}_dark"):
            both[f"{name}_dark"] = value
    # These two are drawn before any style sheet of ours is read, so they hold the colours themselves.
    paper = {"body_background_fill": "#faf8f3", "body_background_fill_dark": "#161513"}
    return base.set(**both, **paper)


def css(*own: str) -> str:
    """The style sheets, for Gradio to put into the page: those of every page, then a page's own."""
    return "".join((LOOK / name).read_text(encoding="utf-8") for name in ("earmark.css", "gradio.css", *own))


def head(*, with_clips: bool) -> str:
    """What every page's head holds: the theme script, drawn before the first paint, and the unblinded players."""
    clips = '<script type="module" src="/look/clips.js"></script>' if with_clips else ""
    return f'<script src="/look/theme.js"></script><link rel="icon" href="/look/icon.png">{clips}'


def html(value: str = "", *, classes: str = "", js_on_load: str | None = None, visible: bool = True) -> gr.HTML:
    """A piece of a page in our own markup, without Gradio's prose styles."""
    template = '<div class="em">${value}</div>'
    return gr.HTML(
        value,
        html_template=template,
        elem_classes=classes,
        js_on_load=js_on_load,
        apply_default_css=False,
        visible=visible,
    )


# On a phone the pages do not all fit in the bar: the one that is open is never the one that is hidden.
HERE_IN_VIEW = """
const here = element.querySelector("nav a[aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - (here.parentElement.clientWidth - here.offsetWidth) / 2;
"""


def header(current: str) -> None:
    """The bar at the top of an engineer's page, with the pages."""
    links = "".join(f'<a href="{to}"{_here(name, current)}>{name}</a>' for name, to in PAGES)
    _bar(f'<nav aria-label="Pages">{links}</nav>', "")


def reviewer_header(words: gr.I18n) -> None:
    """The bar at the top of Listen: no navigation, no names; whose page it is, and the other language."""
    language = '<button class="em-language" data-language hidden></button>'
    _bar("", f'<span class="em-name" data-frame="em_reviewer">{words("em_reviewer")}</span>{language}')


def _here(name: str, current: str) -> str:
    return ' aria-current="page"' if name == current else ""


def _bar(inside: str, end: str) -> None:
    toggle = (
        '<button class="em-theme" data-theme-toggle data-frame="em_theme" aria-label="Light or dark" '
        'title="Light or dark">◐</button>'
    )
    logo = '<span class="em-logo">ear<i>mark</i></span>'
    bar = f'<header class="em-header">{logo}{inside}<span class="em-end">{end}{toggle}</span></header>'
    html(bar, classes="em-bleed", js_on_load=HERE_IN_VIEW)
