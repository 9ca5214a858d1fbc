"""The audit: each fault is found in its row, with a mend, and sound rows are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine import audit, manifest
from engine.types import AuditReport, Severity
from tests.recordings import line, make_manifest, write_tone


def audited(folder: Path, *extra: dict[str, object], count: int = 12) -> AuditReport:
    return audit.audit(manifest.read(make_manifest(folder, count, extra_rows=extra)), sample_rate=16_000)


def found(report: AuditReport, row: int) -> set[tuple[str, Severity]]:
    return {(f.check, f.severity) for f in report.findings if f.row == row}


def test_a_sound_set_has_no_findings_but_its_length(tmp_path: Path) -> None:
    """Rows without a fault are not spoken of; that there is little speech in all is."""
    report = audited(tmp_path)
    assert [(f.check, f.row) for f in report.findings] == [("little-speech", 0)]


def test_unreadable_files_are_told_apart(tmp_path: Path) -> None:
    """Missing, 0-byte and foreign files are each an error that says which of them it is."""
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("hello")
    rows = [{"audio": name, "text": f"{name} says hello"} for name in ("gone.wav", "empty.wav", "text.wav")]
    report = audited(tmp_path, *rows)
    said = [f.explanation for f in report.findings if f.check == "unreadable"]
    assert [word in sentence for word, sentence in zip(("not exist", "0 bytes", "as audio"), said, strict=True)] == [
        True
    ] * 3
    assert report.rows_with_errors == {13, 14, 15}


@pytest.mark.parametrize(("channels", "severity"), [(2, Severity.WARNING), (8, Severity.ERROR)])
def test_channels(tmp_path: Path, channels: int, severity: Severity) -> None:
    """Stereo is averaged and said; an 8-channel file is refused, since nobody knows which track is the voice."""
    soundfile.write(tmp_path / "many.wav", np.full((32_000, channels), 0.1), 16_000)
    report = audited(tmp_path, {"audio": "many.wav", "text": "twenty eight characters long"})
    assert found(report, 13) == {("channels", severity)}


@pytest.mark.parametrize("text", ["", "   ", "...", "?!"])
def test_empty_text(tmp_path: Path, text: str) -> None:
    """A text without a letter or digit is an error."""
    write_tone(tmp_path / "x.wav", 2.0)
    assert ("empty-text", Severity.ERROR) in found(audited(tmp_path, {"audio": "x.wav", "text": text}), 13)


@pytest.mark.parametrize(
    "text",
    [
        "well [laughter] that is all of it",
        "<b>bold words</b> in this line",
        "so (laughs) that is it",
        "a {pause} b and on it goes",
    ],
)
def test_tags(tmp_path: Path, text: str) -> None:
    """Markup in a text would be learned as speech."""
    write_tone(tmp_path / "x.wav", len(text) / 14)
    assert found(audited(tmp_path, {"audio": "x.wav", "text": text}), 13) == {("tag", Severity.ERROR)}


def test_parentheses_are_ordinary_text(tmp_path: Path) -> None:
    """A remark in parentheses is not a tag."""
    text = "the hall (built in june) is tall"
    write_tone(tmp_path / "x.wav", len(text) / 14)
    assert found(audited(tmp_path, {"audio": "x.wav", "text": text}), 13) == set()


def test_a_lower_rate_than_the_voices(tmp_path: Path) -> None:
    """A recording that lacks the voice's upper band is a warning; a higher rate is none."""
    for name, rate in (("low", 8_000), ("high", 48_000)):
        write_tone(tmp_path / f"{name}.wav", 2.0, rate=rate)
    report = audited(
        tmp_path,
        {"audio": "low.wav", "text": "twenty eight characters long"},
        {"audio": "high.wav", "text": "another twenty eight letters"},
    )
    assert found(report, 13) == {("sample-rate", Severity.WARNING)}
    assert found(report, 14) == set()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.9, ("too-short-for-text", Severity.ERROR)),  # 46 characters a second
        (1.5, ("too-short-for-text", Severity.WARNING)),
        (3.2, None),
        (8.0, ("too-long-for-text", Severity.WARNING)),
        (29.0, ("too-long-for-text", Severity.ERROR)),
    ],
)
def test_length_against_text(tmp_path: Path, seconds: float, expected: tuple[str, Severity] | None) -> None:
    """A clip that cannot hold its text is an error; one far from the set's own speaking rate a warning."""
    write_tone(tmp_path / "x.wav", seconds)
    assert found(audited(tmp_path, {"audio": "x.wav", "text": line(99, words=8)}), 13) == (
        {expected} if expected else set()
    )


@pytest.mark.parametrize(("seconds", "check"), [(0.2, "too-short"), (31.0, "too-long")])
def test_length_against_the_voice(tmp_path: Path, seconds: float, check: str) -> None:
    """Clips beyond what the voice can learn from are errors."""
    write_tone(tmp_path / "x.wav", seconds)
    assert (check, Severity.ERROR) in found(audited(tmp_path, {"audio": "x.wav", "text": line(99, words=50)}), 13)


def test_what_the_voice_cannot_pronounce(tmp_path: Path) -> None:
    """The voice's own objection is shown, once, for the row it is about."""
    report = audit.audit(
        manifest.read(make_manifest(tmp_path)),
        sample_rate=16_000,
        unpronounceable=lambda t: "No kettles." if "kettle" in t else None,
    )
    objected = [f for f in report.findings if f.check == "unpronounceable"]
    assert {f.explanation for f in objected} == {"No kettles."}
    assert [f.row for f in objected] == [
        row for row, u in enumerate(report.manifest.utterances, 1) if "kettle" in u.text
    ]


def test_duplicates(tmp_path: Path) -> None:
    """The same text is a warning, the same file an error, each pointing at the first row."""
    write_tone(tmp_path / "x.wav", len(line(0)) / 14)
    report = audited(tmp_path, {"audio": "x.wav", "text": line(0).upper()}, {"audio": "x.wav", "text": line(0)[::-1]})
    assert found(report, 13) == {("duplicate-text", Severity.WARNING)}
    assert ("duplicate-audio", Severity.ERROR) in found(report, 14)
    assert "Row 1 " in next(f.explanation for f in report.findings if f.row == 13)


def test_several_speakers_are_said(tmp_path: Path) -> None:
    """One adapter learns one voice, so a second speaker is worth a warning about the whole set."""
    write_tone(tmp_path / "x.wav", 2.0)
    report = audited(tmp_path, {"audio": "x.wav", "text": "twenty eight characters long", "speaker": "bob"})
    assert ("several-speakers", Severity.WARNING) in found(report, 0)


def test_nothing_usable(tmp_path: Path) -> None:
    """A set of errors alone says so for the whole set."""
    report = audited(tmp_path, {"audio": "gone.wav", "text": "hello there"}, count=0)
    assert ("nothing-usable", Severity.ERROR) in found(report, 0)


def test_progress_is_told(tmp_path: Path) -> None:
    """The audit says how far it is, ending at its total."""
    told: list[tuple[int, int, str]] = []
    audit.audit(manifest.read(make_manifest(tmp_path, 2)), NEEDS, on_progress=lambda *a: told.append(a))
    assert [done for done, _, _ in told] == list(range(len(told)))
    assert told[-1][0] == told[-1][1]
