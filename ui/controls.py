"""Form controls in our own markup: a label, its help, its control, tied together by id.

Pure: takes words and values, returns HTML. For pages whose forms are sent by a script of ours instead of by Gradio.
"""

from __future__ import annotations

from html import escape


def text(label: str, name: str, *, value: str = "", placeholder: str = "", help_text: str = "") -> str:
    """A line of text."""
    return _field(
        label,
        name,
        help_text,
        f'<input {_tied(name, help_text)} value="{escape(value)}" placeholder="{escape(placeholder)}" '
        'autocomplete="off" spellcheck="false">',
    )


def number(
    label: str, name: str, value: float | None, bounds: tuple[float, float, float], *, help_text: str = ""
) -> str:
    """A number between the first two bounds, in steps of the third; empty where None."""
    low, high, step = bounds
    shown = "" if value is None else f"{value:g}"
    return _field(
        label,
        name,
        help_text,
        f'<input type="number" inputmode="decimal" {_tied(name, help_text)} value="{shown}" min="{low:g}" '
        f'max="{high:.0f}" step="{step:g}">',
    )


def choice(label: str, name: str, options: str, *, help_text: str = "") -> str:
    """One of several; `options` are option elements."""
    return _field(label, name, help_text, f"<select {_tied(name, help_text)}>{options}</select>")


def check(label: str, name: str, value: bool, *, help_text: str = "") -> str:
    """Yes or no."""
    told = f"<small>{escape(help_text)}</small>" if help_text else ""
    return (
        f'<label class="em-check"><input type="checkbox" name="{name}"{" checked" if value else ""}>'
        f"<span>{escape(label)}{told}</span></label>"
    )


def _field(label: str, name: str, help_text: str, control: str) -> str:
    told = f'<small id="help-{name}">{escape(help_text)}</small>' if help_text else ""
    return f'<div class="em-field"><label for="field-{name}">{escape(label)}</label>{told}{control}</div>'


def _tied(name: str, help_text: str) -> str:
    described = f' aria-describedby="help-{name}"' if help_text else ""
    return f'name="{name}" id="field-{name}"{described}'
