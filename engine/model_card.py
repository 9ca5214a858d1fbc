"""The model card of an exported voice: what it is, how to use it, and what people heard before it was released.

Knows the record that `promotion` writes as `earmark.json`, and Markdown. Every number on the card comes from that
record.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def text(record: Mapping[str, Any]) -> str:
    """The card as Markdown with the front matter that model hubs read."""
    promotion, adapter, verdict = record["promotion"], record["adapter"], record["verdict"]
    candidate = promotion["candidate"]
    sections = [
        _front_matter(candidate["backend"]),
        f"# {promotion['alias']}",
        f"A LoRA adapter for the {candidate['backend']} speech model, base voice {candidate['voice']}, "
        f"to be used at `lora_scale` {candidate['lora_scale']:g}.",
        _warning(verdict),
        "## What it is\n\n" + _table(_identity(promotion, adapter)),
        "## Settings it was released with\n\n" + _table(promotion["settings"]),
        _use(promotion),
        "## What was heard\n\n" + _evidence(promotion, verdict),
        "## Data\n\n" + (_table(record["data"]) if record["data"] else "Nothing was recorded about the data."),
        f"## Licence\n\n{record['licence']}",
        "## Checking the files\n\n`sha256sum --check SHA256SUMS`, or `python -m engine verify FOLDER`, "
        "which also finds files that do not belong here.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(backend: str) -> str:
    return f"---\nlibrary_name: peft\npipeline_tag: text-to-speech\ntags:\n- lora\n- text-to-speech\n- {backend}\n---"


def _warning(verdict: Mapping[str, Any]) -> str:
    if not verdict["simulated"]:
        return ""
    return "**Released on the answers of simulated reviewers: no person has judged this voice.**"


def _identity(promotion: Mapping[str, Any], adapter: Mapping[str, Any]) -> dict[str, object]:
    voice_settings = ", ".join(f"{name} {value:g}" for name, value in adapter["voice_settings"].items())
    return {
        "Candidate": promotion["candidate"]["checkpoint_id"],
        "lora_scale": f"{promotion['candidate']['lora_scale']:g}",
        "Parts": ", ".join(adapter["parts"]),
        "Rank and alpha": f"{adapter['rank']}, {adapter['alpha']:g}",
        "Voice settings at scale 1": voice_settings or "none",
        "Adapter sha256": promotion["adapter_sha256"],
        "Base model sha256": promotion["base_sha256"],
        "Harness version": promotion["harness_version"],
        "Promoted": f"{_date(promotion['promoted_at'])} by {promotion['promoted_by']}",
        "Why": promotion["reason"] or "not stated",
    }


def _use(promotion: Mapping[str, Any]) -> str:
    candidate = promotion["candidate"]
    return (
        "## How to use it\n\n```\n"
        f"python -m engine speak --backend {candidate['backend']} --adapter FOLDER --scale {candidate['lora_scale']:g} "
        '--text "Hello." --seed 42 --out hello.wav\n```\n\n'
        "Each part is a folder in PEFT's format. PEFT loads it at scale 1: multiply its scaling by `lora_scale`."
    )


def _evidence(promotion: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    findings = "\n".join(f"- {finding['explanation']}" for finding in verdict["findings"])
    return (
        f"Gate {promotion['gate']} version {promotion['gate_version']}, blind, decided {_date(verdict['decided_at'])} "
        f"by {verdict['decided_by']} (verdict {verdict['id']}):\n\n{findings}"
    )


def _table(values: Mapping[str, object]) -> str:
    rows = "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in values.items())
    return f"| | |\n|---|---|\n{rows}"


def _cell(value: object) -> str:
    """Text that cannot break out of its cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
