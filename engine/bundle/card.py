"""The model card of an exported voice: what it is, how to use it, and what people heard before it was released.

Knows the record that a bundle keeps as `earmark.json`, and Markdown. Every number on the card comes from that record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.bundle import plots
from engine.bundle.record import FACTS_FILE, SCRIPT_FILE


def text(facts: Mapping[str, Any], *, has_script: bool = False) -> str:
    """The card as Markdown with the front matter that model hubs read."""
    promotion, adapter, verdict = facts["promotion"], facts["adapter"], facts["verdict"]
    candidate = promotion["candidate"]
    kind = "A LoRA adapter" if adapter["kind"] == "lora" else "Fully fine-tuned weights"
    sections = [
        _front_matter(candidate["backend"]),
        f"# {promotion['alias']}",
        f"{kind} for the {candidate['backend']} speech model, base voice {candidate['voice']}, "
        f"to be used at `lora_scale` {candidate['lora_scale']:g}.",
        _warning(verdict),
        "## What it is\n\n" + _table(_identity(promotion, adapter)),
        "## Settings it was released with\n\n" + _table(promotion["settings"]),
        _use(promotion, has_script=has_script),
        "## What was heard\n\n" + _evidence(promotion, verdict),
        _preferences(facts),
        _samples(facts["samples"]),
        _failures(facts["other_verdicts"]),
        "## Data\n\n" + (_table(facts["data"]) if facts["data"] else "Nothing was recorded about the data."),
        f"## Consent\n\n{facts['consent']}",
        f"## Licence\n\n{facts['licence']}",
        "## Checking the files\n\n`sha256sum --check SHA256SUMS`, or `python -m engine verify FOLDER`, which also "
        f"finds files that do not belong here and speaks a line. `{FACTS_FILE}` has everything above as data.",
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
        "Trained by code": promotion["trainer_version"] or "not known",
        "Audio prompt sha256": promotion["reference_sha256"] or "none: the voice needs no prompt",
        "Promoted": f"{_date(promotion['promoted_at'])} by {promotion['promoted_by']}",
        "Why": promotion["reason"] or "not stated",
    }


def _use(promotion: Mapping[str, Any], *, has_script: bool) -> str:
    candidate = promotion["candidate"]
    script = f'Without Earmark: `python {SCRIPT_FILE} "Hello." hello.wav`.\n\n' if has_script else ""
    return (
        f"## How to use it\n\n{script}With Earmark:\n\n```\n"
        f"python -m engine speak --backend {candidate['backend']} --adapter FOLDER --scale {candidate['lora_scale']:g} "
        '--text "Hello." --seed 42 --out hello.wav\n```\n\n'
        "Each part is a folder in PEFT's format. PEFT loads it at scale 1: multiply its scaling by `lora_scale`, or "
        "use the folder `baked`, if there is one, as it is. `merged` holds the whole weights at that scale."
    )


def _evidence(promotion: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    findings = "\n".join(f"- {finding['explanation']}" for finding in verdict["findings"])
    return (
        f"Gate {promotion['gate']} version {promotion['gate_version']}, blind, decided {_date(verdict['decided_at'])} "
        f"by {verdict['decided_by']} (verdict {verdict['id']}):\n\n{findings}"
    )


def _preferences(facts: Mapping[str, Any]) -> str:
    """Wins over other candidates, ties left out, each with a 95 % interval of the share."""
    rows = [
        f"| {_cell(each['against'])} | {each['wins']} | {each['losses']} | {each['ties']} | "
        f"{each['low']:.0%} to {each['high']:.0%}{' (simulated)' if each['simulated'] else ''} |"
        for each in facts["preferences"]
    ]
    if not rows:
        return ""
    head = "| against | won | lost | tied | share won, 95 % interval |\n|---|---|---|---|---|"
    return f"## What was preferred\n\n{head}\n" + "\n".join(rows) + f"\n\n![Shares won]({plots.PREFERENCES})"


def _samples(samples: Sequence[Mapping[str, Any]]) -> str:
    if not samples:
        return ""
    rows = "\n".join(
        f"| [{each['tier']}]({each['file']}) | {each['seconds']:.1f} s | {_cell(each['text'])} |" for each in samples
    )
    measured = "\n".join(
        f"- {each['tier']}, {_cell(score['name'])}: {_cell(score['said'])}"
        for each in samples
        for score in each["scores"]
    )
    told = f"\n\nMeasured, not judged:\n\n{measured}" if measured else ""
    return f"## Samples\n\n| tier | length | text |\n|---|---|---|\n{rows}{told}"


def _failures(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """What the same checkpoint did at other scales: where this voice breaks."""
    failed = [verdict for verdict in verdicts if verdict["outcome"] == "fail"]
    if not failed:
        return ""
    rows = "\n".join(
        f"- scale {verdict['candidate']['lora_scale']:g}: "
        + "; ".join(finding["explanation"] for finding in verdict["findings"] if finding["outcome"] == "fail")
        for verdict in sorted(failed, key=lambda verdict: verdict["candidate"]["lora_scale"])
    )
    return f"## Known failures\n\nThe same checkpoint failed its gate at:\n\n{rows}"


def _table(values: Mapping[str, object]) -> str:
    rows = "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in values.items())
    return f"| | |\n|---|---|\n{rows}"


def _cell(value: object) -> str:
    """Text that cannot break out of its cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
