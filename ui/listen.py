"""The Listen page: one blind trial at a time. No navigation, no model, no run.

Everything a trial shows comes over our own routes (`ui.routes`) into `assets/ui/listen.js`; Gradio carries the frame
alone, so that nothing of a trial is ever part of a page's config or event stream. All words are in one table,
`assets/ui/listen_words.json`: the frame's go to Gradio, the rest is read by the page itself.
"""

from __future__ import annotations

import json

import gradio as gr

from ui import theme

MOUNT = 'import("/look/listen.js").then((page) => page.mount(element));'
LOCALES = {"en": ("en",), "zh": ("zh", "zh-CN", "zh-TW")}  # a language of the table -> what browsers call it


def words() -> gr.I18n:
    """The frame's words in every language, under the names that Gradio knows the languages by."""
    table = json.loads((theme.LOOK / "listen_words.json").read_text(encoding="utf-8"))
    return gr.I18n(**{locale: table[language]["frame"] for language, names in LOCALES.items() for locale in names})


def build(words: gr.I18n) -> gr.Blocks:
    """The reviewer's app: a page of its own that shares no config with the engineers' pages."""
    page: gr.Blocks
    with gr.Blocks(title="Earmark: Listen", analytics_enabled=False) as page:
        theme.reviewer_header(words)
        theme.html(_frame(words), js_on_load=MOUNT)
    return page


def _frame(words: gr.I18n) -> str:
    return (
        f'<div data-listen><div data-stage><p class="em-quiet">{words("em_opening")}</p></div>'
        '<div class="em-visually-hidden" role="status" aria-live="polite"></div></div>'
    )
