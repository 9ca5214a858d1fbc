"""Writes the measured figures into the model card, between its two markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_START, _END = "<!-- figures: written by the stage 'card' -->", "<!-- end of figures -->"
_REQUIRED = {
    "ear on base voices": 0.01,
    "ear on unheard voices": 0.06,
    "copy synthesis, base voices": 0.05,
    "unheard voices' tokens in base voices": 0.10,
    "base voices, short tier (sentence pairs, about 5 s)": 0.10,
    "base voices, medium tier (about 15 s, one pass)": 0.13,
    "base voices, long tier (about 35 s, in chunks)": 0.13,
}


def run(folder: Path) -> None:
    """Fill the card in `folder` from the `evaluation.json` beside it."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    before, rest = text.split(_START)
    after = rest.split(_END)[1]
    figures = json.loads((folder / "evaluation.json").read_text())
    card.write_text(f"{before}{_START}\n{_tables(figures)}\n{_END}{after}", encoding="utf-8")


def _tables(figures: dict[str, Any]) -> str:
    unheard = figures["unheard_tokens"]
    rows = {
        "ear on base voices": [figures["ear"]["base"]],
        "ear on unheard voices": [figures["ear"]["unheard"]],
        "copy synthesis, base voices": [figures["copy_synthesis"]],
        "unheard voices' tokens in base voices": list(unheard.values()),
        "base voices, short tier (sentence pairs, about 5 s)": [figures["short"]],
        "base voices, medium tier (about 15 s, one pass)": [figures["medium"]],
        "base voices, long tier (about 35 s, in chunks)": [figures["long"]],
    }
    lines = [
        "Phoneme error rates in percent on Harvard sentences, with 95 % bootstrap intervals over clips.",
        "",
        "| | required | by the ear | by the second ear | clips | runaways |",
        "|---|---|---|---|---|---|",
    ]
    for name, many in rows.items():
        for suffix, row in zip(_suffixes(name, unheard, many), many, strict=True):
            cells = [_percent(row["per"]), _percent(row["per_second_ear"])]
            cells += [str(row["clips"]), str(row["runaways"])]
            lines.append(f"| {name}{suffix} | {100 * _REQUIRED[name]:.0f} | {' | '.join(cells)} |")
    for name, table in figures.get("tuning", {}).items():
        lines += ["", *_tuning(name, table)]
    return "\n".join(lines)


def _suffixes(name: str, unheard: dict[str, Any], many: list[Any]) -> list[str]:
    return [f" ({voice})" for voice in unheard] if len(many) > 1 else [""]


def _tuning(name: str, table: dict[str, Any]) -> list[str]:
    lines = [
        f"`{name}` ({table['target_f0_hz']} Hz) tuned on {table['minutes']:.0f} minutes from "
        f"`{table['base']}`, one `lora_scale` over both adapters; best scale that is at least 60 % of "
        f"the way: {table['best_scale']}; F0 monotone from 0 to 1: "
        f"{'yes' if table['f0_monotone_0_to_1'] else 'no'}.",
        "",
        "| scale | ear | second ear | F0 Hz | F0 way | timbre way | runaways |",
        "|---|---|---|---|---|---|---|",
    ]
    for scale, row in table["scales"].items():
        way = f"{100 * row['f0_progress']:.0f} % | {100 * row['timbre_progress']:.0f} %"
        both = f"{_percent(row['per'])} | {_percent(row['per_second_ear'])}"
        ends = f"{row['runaways']} of {row['clips']}"
        lines.append(f"| {scale} | {both} | {row['f0_hz']} | {way} | {ends} |")
    return lines


def _percent(interval: dict[str, float]) -> str:
    low, high = 100 * interval["low"], 100 * interval["high"]
    return f"{100 * interval['mean']:.1f} ({low:.1f} to {high:.1f})"
