"""Bundles: whole or not at all, everything needed to sound the same, and every altered file is named."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine import backends, disk, durable
from engine.adapter_files import load_adapter
from engine.bundle import card, checking, writing
from engine.bundle.record import Evidence, Preference, Sample
from engine.types import Adapter, BadInput, Bundle, DiskFull, NotFound, Outcome, Promotion, Refused, Score, Verdict
from tests.judgement_factory import make_candidate, make_checkpoint, make_clip, make_verdict
from tests.test_promotion import PASSED, adapter, promote, promoted, verdict_of

__all__ = ["adapter", "promoted"]  # fixtures


@pytest.fixture(autouse=True)
def _no_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """These adapters are bytes with a name; the voice's own code would only be copied for nothing."""
    monkeypatch.setattr(backends, "EXPORTERS", {})


@pytest.fixture
def bundle(promoted: Promotion, adapter: Adapter, tmp_path: Path) -> Bundle:
    return export(promoted, adapter, tmp_path)


def export(promoted: Promotion, adapter: Adapter, tmp_path: Path, verdict: Verdict | None = None) -> Bundle:
    """A sample, a lost and a won comparison, a failing verdict of the same checkpoint at another scale."""
    clip = replace(make_clip(PASSED), path=tmp_path / "clip.flac")
    clip.path.write_bytes(b"fLaC")
    said = "2 of 14 words were not found"
    score = Score(clip_id=clip.id, screener="words", version=1, value=2, unit="", passed=False, explanation=said)
    other = Preference(against="step 200 at 0.5", wins=7, losses=3, ties=2, low=0.35, high=0.93, simulated=False)
    evidence = Evidence(
        verdicts=(verdict or verdict_of(Outcome.PASS), replace(make_verdict(make_candidate(1.0)), id="failed")),
        preferences=(other,),
        samples=(Sample(clip=clip, scores=(score,)),),
        data={"Clips": "84", "Minutes": "5.2"},
        consent="Given by Robin, 2026-01-05.",
        licence="CC0-1.0 recordings.",
    )
    target = tmp_path / "exports" / promoted.id
    return writing.export(promoted, adapter=adapter, evidence=evidence, target=target, now=60.0)


# --------------------------------------------------------------------------------------------------------------- export
def test_an_export_holds_what_the_voice_needs_and_nothing_else(bundle: Bundle, adapter: Adapter) -> None:
    """The parts in PEFT's format byte for byte, facts, card and checksums; no optimizer state, no paths of this
    machine.
    """
    assert set(bundle.files) == {
        "README.md",
        "adapter.json",
        "decoder/adapter_config.json",
        "decoder/adapter_model.safetensors",
        "earmark.json",
        "lm/adapter_config.json",
        "lm/adapter_model.safetensors",
        "plots/preferences.svg",
        "samples/01_short.flac",
        "voice.json",
    }
    for name in ("adapter.json", "lm/adapter_model.safetensors", "decoder/adapter_config.json"):
        assert (bundle.path / name).read_bytes() == (adapter.path / name).read_bytes()
    assert load_adapter(bundle.path).sha256 == adapter.sha256
    for name in ("README.md", "earmark.json", "adapter.json"):
        assert str(adapter.path.parent) not in (bundle.path / name).read_text()


def test_the_facts_of_an_export_are_complete(bundle: Bundle, promoted: Promotion) -> None:
    """`earmark.json` has everything to sound the same elsewhere, and the evidence."""
    record = json.loads((bundle.path / "earmark.json").read_text())
    assert record["format_version"] == 2
    assert record["promotion"]["candidate"] == {
        "backend": "finch",
        "voice": "robin",
        "checkpoint_id": "run@000100",
        "lora_scale": 0.35,
    }
    assert record["promotion"]["settings"]["temperature"] == 0.4
    assert record["promotion"]["harness_version"] == promoted.harness_version
    assert record["adapter"]["voice_settings"] == {"clock": 1.04}
    assert [finding["tier"] for finding in record["verdict"]["findings"]] == ["short", "medium", "long"]
    assert record["verdict"]["decided_by"] == "Ada"
    assert record["data"] == {"Clips": "84", "Minutes": "5.2"}


def test_the_model_card_says_how_to_use_it_and_what_was_heard(bundle: Bundle) -> None:
    """Base, scale, settings, gate, findings, data and licence stand on the card, under front matter that hubs read."""
    card = (bundle.path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: peft\npipeline_tag: text-to-speech\n")
    for told in (
        "# production/robin",
        "`lora_scale` 0.35",
        "| Base model sha256 | " + "b" * 64,
        "| temperature | 0.4 |",
        "| Harness version | ",
        "--adapter FOLDER --scale 0.35",
        "Gate three-tiers version 1, blind, decided 1970-01-01 by Ada",
        "- Long: pass.",
        "| Clips | 84 |",
        "CC0-1.0 recordings.",
        "Given by Robin, 2026-01-05.",
        "| step 200 at 0.5 | 7 | 3 | 2 | 35% to 93% |",
        "2 of 14 words were not found",
        "- scale 1: Short: fail.",
        "[short](samples/01_short.flac)",
    ):
        assert told in card
    assert "simulated" not in card


def test_a_card_warns_of_simulated_reviewers(promoted: Promotion, adapter: Adapter, tmp_path: Path) -> None:
    """A voice that no person judged says so at the top."""
    simulated = export(promoted, adapter, tmp_path, verdict_of(Outcome.PASS, simulated=True))
    assert "no person has judged this voice" in (simulated.path / "README.md").read_text().split("##")[0]


def test_text_cannot_break_the_card(bundle: Bundle) -> None:
    """A reason with bars and line ends stays in its cell."""
    record = json.loads((bundle.path / "earmark.json").read_text())
    record["promotion"]["reason"] = "a | b\n# not a heading"
    assert "| Why | a \\| b # not a heading |" in card.text(record)


def test_exporting_again_gives_the_same_export(
    bundle: Bundle, promoted: Promotion, adapter: Adapter, tmp_path: Path
) -> None:
    """A second click verifies what is there and returns it; another promotion has a folder of its own."""
    assert replace(export(promoted, adapter, tmp_path), notes=()) == replace(bundle, notes=())
    other = promote(adapter, PASSED, verdict_of(Outcome.PASS), by="Bo")
    assert export(other, adapter, tmp_path).path != bundle.path


def test_an_export_that_was_altered_is_not_returned(
    bundle: Bundle, promoted: Promotion, adapter: Adapter, tmp_path: Path
) -> None:
    """Exporting over a damaged export tells so instead of handing it out or replacing it silently."""
    (bundle.path / "README.md").write_text("mine")
    with pytest.raises(BadInput, match=r"README\.md was altered"):
        export(promoted, adapter, tmp_path)


def test_only_the_promoted_adapter_is_exported(promoted: Promotion, adapter: Adapter, tmp_path: Path) -> None:
    """Another checkpoint's adapter, altered weights, or a missing verdict are refused, and nothing is left behind."""
    with pytest.raises(Refused, match="without verdict"):
        export(replace(promoted, verdict_id="another"), adapter, tmp_path)
    with pytest.raises(Refused, match="not the one that was promoted"):
        export(replace(promoted, adapter_sha256="c" * 64), adapter, tmp_path)
    (adapter.path / "lm" / "adapter_model.safetensors").write_bytes(b"retrained")
    with pytest.raises(BadInput, match="altered"):
        export(promoted, adapter, tmp_path)
    assert not (tmp_path / "exports").exists() or list((tmp_path / "exports").iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_written(
    promoted: Promotion, adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little space is a sentence, and no half export."""
    monkeypatch.setattr(disk, "free_bytes", lambda path: 10)
    with pytest.raises(DiskFull, match="make room"):
        export(promoted, adapter, tmp_path)
    assert list((tmp_path / "exports").iterdir()) == []


def test_a_kill_while_exporting_leaves_no_export(promoted: Promotion, adapter: Adapter, tmp_path: Path) -> None:
    """An export appears whole: killed before the rename there is none, and what was left disturbs nobody."""
    real = durable.rename

    def killed(source: Path, target: Path) -> None:
        if source.is_dir():
            raise KeyboardInterrupt
        real(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "rename", killed)
        patch.setattr(shutil, "rmtree", lambda *args, **others: None)  # a killed process cleans nothing up
        with pytest.raises(KeyboardInterrupt):
            export(promoted, adapter, tmp_path)
    (left,) = (tmp_path / "exports").iterdir()
    assert left.name.startswith(".")
    bundle = export(promoted, adapter, tmp_path)
    assert list((tmp_path / "exports").iterdir()) == [bundle.path]


# --------------------------------------------------------------------------------------------------------------- verify
@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (
            lambda p: (p / "lm/adapter_model.safetensors").write_bytes(b"x"),
            r"lm/adapter_model\.safetensors was altered",
        ),
        (lambda p: (p / "decoder/adapter_config.json").unlink(), r"decoder/adapter_config\.json is missing"),
        (lambda p: (p / "lm/notes.txt").write_text("mine"), r"lm/notes\.txt does not belong"),
        (lambda p: (p / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
        (lambda p: (p / "SHA256SUMS").write_text("abc  README.md\n"), "Line 1 of .* is no checksum line"),
        (lambda p: (p / "SHA256SUMS").write_text(""), "does not list earmark.json"),
    ],
    ids=["altered", "missing", "extra", "no sums", "broken sums", "empty sums"],
)
def test_verify_names_what_is_wrong(bundle: Bundle, harm: Callable[[Path], object], told: str) -> None:
    """Any altered, missing or extra file is named."""
    harm(bundle.path)
    with pytest.raises(BadInput, match=told):
        checking.verify(bundle.path)


def test_every_single_bit_counts(bundle: Bundle) -> None:
    """One flipped bit in any file, also in the list of checksums, is found."""
    for name in [*bundle.files, "SHA256SUMS"]:
        path = bundle.path / name
        before = path.read_bytes()
        path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
        with pytest.raises(BadInput):
            checking.verify(bundle.path)
        path.write_bytes(before)
    assert checking.verify(bundle.path).sha256 == bundle.sha256


def test_an_export_verifies_elsewhere(bundle: Bundle, tmp_path: Path) -> None:
    """A copy in another place verifies with the same checksum, here and with the tool that everybody has."""
    copy = tmp_path / "copy"
    shutil.copytree(bundle.path, copy)
    assert checking.verify(copy).sha256 == bundle.sha256
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=copy, check=True)


def test_what_is_no_export_is_told(tmp_path: Path) -> None:
    """A folder that does not exist, and one that holds something else, are answered with a sentence."""
    with pytest.raises(NotFound, match="no exported folder"):
        checking.verify(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="is no export"):
        checking.verify(tmp_path)


def test_a_checkpoint_without_its_files_is_not_exported(promoted: Promotion, tmp_path: Path) -> None:
    """A checkpoint that went to the trash meanwhile is told as missing."""
    with pytest.raises(NotFound):
        export(promoted, make_checkpoint(path=tmp_path / "gone").adapter, tmp_path)
