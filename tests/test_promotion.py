"""Promotion and export: only what passed, everything needed to sound the same, and every altered file is named."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine import durable, model_card, promotion
from engine.adapters import load_adapter, write_adapter
from engine.types import (
    Adapter,
    BadInput,
    Bundle,
    Candidate,
    DiskFull,
    GenerationSettings,
    NotFound,
    Outcome,
    Promotion,
    Refused,
    Tier,
    Verdict,
)
from tests.judgement_factory import BASE, make_candidate, make_checkpoint, make_verdict

PASSED = make_candidate(0.35)
SETTINGS = GenerationSettings(temperature=0.4)


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    """A checkpoint's folder: the adapter of two parts, and what else a checkpoint holds."""
    folder = tmp_path / "step_000100"
    for part in ("lm", "decoder"):
        (folder / part).mkdir(parents=True)
        (folder / part / "adapter_config.json").write_text('{"r": 8, "target_modules": ["q_proj"]}')
        (folder / part / "adapter_model.safetensors").write_bytes(f"{part} weights".encode() * 99)
        (folder / part / "README.md").write_text("PEFT's own card")
    (folder / "optimizer.safetensors").write_bytes(b"state" * 99)
    return write_adapter(
        folder,
        backend="finch",
        base_sha256="b" * 64,
        voice="robin",
        parts=("lm", "decoder"),
        rank=8,
        alpha=16.0,
        voice_settings={"clock": 1.04},
    )


def promote(
    adapter: Adapter | None,
    candidate: Candidate = PASSED,
    verdict: Verdict | None = None,
    *,
    alias: str = "production/robin",
    by: str = "Ada",
) -> Promotion:
    return promotion.promote(
        candidate, adapter=adapter, verdict=verdict, alias=alias, settings=SETTINGS, by=by, now=50.0, reason="warm"
    )


def verdict_of(outcome: Outcome, **others: object) -> Verdict:
    return make_verdict(PASSED, outcome, **others)  # type: ignore[arg-type]


@pytest.fixture
def promoted(adapter: Adapter) -> Promotion:
    return promote(adapter, PASSED, verdict_of(Outcome.PASS))


@pytest.fixture
def bundle(promoted: Promotion, adapter: Adapter, tmp_path: Path) -> Bundle:
    return export(promoted, adapter, tmp_path)


def export(promoted: Promotion, adapter: Adapter, tmp_path: Path, verdict: Verdict | None = None) -> Bundle:
    return promotion.export(
        promoted,
        adapter=adapter,
        verdict=verdict or verdict_of(Outcome.PASS),
        exports=tmp_path / "exports",
        now=60.0,
        facts={"Clips": "84", "Minutes": "5.2"},
        licence="CC0-1.0 recordings.",
    )


# -------------------------------------------------------------------------------------------------------------- promote
def test_a_candidate_that_passed_is_promoted_with_all_it_needs(promoted: Promotion, adapter: Adapter) -> None:
    """A promotion names candidate, scale, adapter, base, settings, harness, gate, verdict and who decided."""
    assert promoted.candidate == PASSED
    assert (promoted.adapter_sha256, promoted.base_sha256) == (adapter.sha256, "b" * 64)
    assert (promoted.settings, promoted.gate, promoted.gate_version) == (SETTINGS, "three-tiers", 1)
    assert promoted.verdict_id == verdict_of(Outcome.PASS).id
    assert (promoted.promoted_by, promoted.promoted_at, promoted.reason) == ("Ada", 50.0, "warm")
    assert promoted.harness_version


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (None, "no verdict yet"),
        (make_verdict(make_candidate(0.5), Outcome.PASS), "no verdict yet"),  # of another scale
        (verdict_of(Outcome.FAIL), r"failed its gate and cannot be promoted\. Short: fail\."),
        (verdict_of(Outcome.UNDECIDED), "is undecided and cannot be promoted"),
        (verdict_of(Outcome.PASS, tiers=(Tier.SHORT, Tier.MEDIUM)), "not passed in the long tier"),
        (verdict_of(Outcome.PASS, tiers=()), "not passed in the short, medium, long tier"),
    ],
    ids=["none", "of another scale", "fail", "undecided", "two tiers", "no findings"],
)
def test_without_a_passing_verdict_nothing_is_promoted(adapter: Adapter, verdict: Verdict | None, told: str) -> None:
    """Only a pass in all tiers, about this very candidate, releases a voice."""
    with pytest.raises(Refused, match=told):
        promote(adapter, PASSED, verdict)


def test_the_base_is_never_promoted(adapter: Adapter) -> None:
    """The control of every gate is no product, even when it passed."""
    for given_adapter in (None, adapter):
        with pytest.raises(Refused, match="is the base model"):
            promote(given_adapter, BASE, make_verdict(BASE, Outcome.PASS))


@pytest.mark.parametrize(
    "alias", ["robin", "", "production/", "/robin", "production/../x", "a/b/c", "production/ro bin", "a/.b"]
)
def test_an_alias_has_a_stage_and_a_voice(adapter: Adapter, alias: str) -> None:
    """Aliases become folder names: nothing that could lead elsewhere is accepted."""
    with pytest.raises(BadInput, match="stage/voice"):
        promote(adapter, PASSED, verdict_of(Outcome.PASS), alias=alias)


def test_promoting_needs_a_name(adapter: Adapter) -> None:
    """Somebody answers for a released voice."""
    with pytest.raises(BadInput, match="name of who"):
        promote(adapter, PASSED, verdict_of(Outcome.PASS), by=" ")


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
    }
    for name in ("adapter.json", "lm/adapter_model.safetensors", "decoder/adapter_config.json"):
        assert (bundle.path / name).read_bytes() == (adapter.path / name).read_bytes()
    assert load_adapter(bundle.path).sha256 == adapter.sha256
    for name in ("README.md", "earmark.json", "adapter.json"):
        assert str(adapter.path.parent) not in (bundle.path / name).read_text()


def test_the_facts_of_an_export_are_complete(bundle: Bundle, promoted: Promotion) -> None:
    """`earmark.json` has everything to sound the same elsewhere, and the evidence."""
    record = json.loads((bundle.path / "earmark.json").read_text())
    assert record["format_version"] == 1
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
    assert "| Why | a \\| b # not a heading |" in model_card.text(record)


def test_exporting_again_gives_the_same_export(
    bundle: Bundle, promoted: Promotion, adapter: Adapter, tmp_path: Path
) -> None:
    """A second click verifies what is there and returns it; another promotion has a folder of its own."""
    assert export(promoted, adapter, tmp_path) == bundle
    other = promotion.promote(
        PASSED,
        adapter=adapter,
        verdict=verdict_of(Outcome.PASS),
        alias="production/robin",
        settings=SETTINGS,
        by="Bo",
        now=51.0,
    )
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
        promotion.export(promoted, adapter=adapter, verdict=None, exports=tmp_path / "exports", now=1.0)
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
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(DiskFull, match="free some space"):
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
        promotion.verify(bundle.path)


def test_every_single_bit_counts(bundle: Bundle) -> None:
    """One flipped bit in any file, also in the list of checksums, is found."""
    for name in [*bundle.files, "SHA256SUMS"]:
        path = bundle.path / name
        before = path.read_bytes()
        path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
        with pytest.raises(BadInput):
            promotion.verify(bundle.path)
        path.write_bytes(before)
    assert promotion.verify(bundle.path) == bundle


def test_an_export_verifies_elsewhere(bundle: Bundle, tmp_path: Path) -> None:
    """A copy in another place verifies with the same checksum, here and with the tool that everybody has."""
    copy = tmp_path / "copy"
    shutil.copytree(bundle.path, copy)
    assert promotion.verify(copy).sha256 == bundle.sha256
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=copy, check=True)


def test_what_is_no_export_is_told(tmp_path: Path) -> None:
    """A folder that does not exist, and one that holds something else, are answered with a sentence."""
    with pytest.raises(NotFound, match="no exported folder"):
        promotion.verify(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="is no export"):
        promotion.verify(tmp_path)


def test_a_checkpoint_without_its_files_is_not_exported(promoted: Promotion, tmp_path: Path) -> None:
    """A checkpoint that went to the trash meanwhile is told as missing."""
    with pytest.raises(NotFound):
        export(promoted, make_checkpoint(path=tmp_path / "gone").adapter, tmp_path)
