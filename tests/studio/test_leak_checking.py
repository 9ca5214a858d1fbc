"""Leak checks: what they render, what they find in speech that leaks, and that nothing of it goes to reviewers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import audio, backends, screeners, sweep
from engine.backends.finch import phonemes
from engine.jobs import JobState
from engine.leak_records import LeakReport
from engine.studio import Studio
from engine.types import BadInput, Candidate, Line, Refused, Script, SpeakRow, Speech, SpeechTokens, Stop, Tier
from engine.workspace import Workspace
from tests.fake_host import FakeHost, backend_info
from tests.studio.test_sweeping import wait_until
from tests.studio.test_tempo import checkpoint

PROMPT = "The old captain painted his wooden boat in purple and yellow stripes."
LEAK = "Purple and yellow stripes."
TUNED = Candidate(backend="fake", voice="robin", checkpoint_id="run@000001", lora_scale=0.5)
BASE = Candidate(backend="fake", voice="robin")
SCRIPT = Script(
    name="two",
    language="en",
    sha256="s" * 64,
    lines=(
        Line(id="lunch", tier=Tier.SHORT, text="We had a quiet lunch beside the river."),
        Line(id="train", tier=Tier.SHORT, text="The morning train was late again today."),
    ),
)


class Leaky(FakeHost):
    """Says the end of its reference first where an adapter is on, and else where it has no words."""

    refuses_blank = False

    def speak(self, rows: Sequence[SpeakRow]) -> list[Speech]:
        self.batches.append(list(rows))
        return [self._said(row) for row in rows]

    def _said(self, row: SpeakRow) -> Speech:
        assert row.reference is not None
        if not row.reference.text and self.refuses_blank:
            raise BadInput("The reference has no words; this voice needs them.")
        text = f"{LEAK} {row.text}" if row.lora_scale else row.text
        _, samples, rate = phonemes.speak(text if row.reference.text else "Ooh, gaga wah bubu zizi lolo.")
        return Speech(
            samples=(samples / 32768).astype(np.float32), sample_rate=rate, tokens=9, stop=Stop.EOS, render_sec=0.1
        )


@pytest.fixture(name="host")
def _host() -> Leaky:
    return Leaky()


@pytest.fixture(name="studio")
def _studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Leaky) -> Iterator[Studio]:
    info = replace(backend_info(), reference="optional", sample_rate=22_050)
    monkeypatch.setattr(backends, "info", lambda *_: info)
    monkeypatch.setattr(Studio, "checkpoint", lambda *_: checkpoint(1))
    with Studio(Workspace(tmp_path), clock=lambda: 1_000.0, device="cpu") as studio:
        studio._hosts["fake"] = host  # type: ignore[assignment]
        studio._ears["fake", "en"] = screeners.ears("finch")
        yield studio


def request(studio: Studio, tmp_path: Path) -> sweep.Request:
    _, samples, rate = phonemes.speak(PROMPT)
    audio.write(tmp_path / "prompt.wav", (samples / 32768).astype(np.float32), rate)
    kept = studio.keep_reference(tmp_path / "prompt.wav", PROMPT, name="captain").reference
    audio.write(tmp_path / "lamp.wav", (samples / 32768).astype(np.float32)[::-1].copy(), rate)
    studio.keep_reference(tmp_path / "lamp.wav", "A green lamp stood on the shelf by the tall window.", name="lamp")
    return sweep.Request(candidates=(TUNED,), script=SCRIPT, references=(kept,))


def checked(studio: Studio, asked: sweep.Request) -> LeakReport:
    job = studio.start_leak_check(asked, by="Ada")
    wait_until(lambda: studio.job(job).ended_at is not None)
    assert studio.job(job).state is JobState.DONE, studio.job(job).error
    (report,) = studio.leak_reports("run")
    return report


def test_a_leak_that_the_adapter_adds_is_found_and_reported(studio: Studio, host: Leaky, tmp_path: Path) -> None:
    """Base and candidate are rendered, and the candidate once more without the words; a second one renders nothing."""
    asked = request(studio, tmp_path)
    planned = studio.plan_leak_check(asked)
    assert (len(planned.jobs), len(planned.missing)) == (6, 6)
    report = checked(studio, asked)
    against, blank, trimmed, _, _ = report.gates
    assert against.passed is False
    assert "the adapter adds to it" in against.explanation
    assert blank.passed is False
    assert "leans on that text" in blank.explanation
    assert trimmed.passed is False
    assert (report.candidate, report.by, report.clips, report.blank_fault) == (TUNED, "Ada", 2, "")
    spoken = host.spoken
    checked(studio, asked)
    assert host.spoken == spoken
    assert studio.clips() == [], "what is spoken after a blank text is not for reviewers"


def test_a_voice_that_refuses_a_blank_text_keeps_three_gates(studio: Studio, host: Leaky, tmp_path: Path) -> None:
    """The refusal is kept in its words, and nothing is said of that gate."""
    host.refuses_blank = True
    report = checked(studio, request(studio, tmp_path))
    assert "needs them" in report.blank_fault
    assert [gate.passed is None for gate in report.gates[:3]] == [False, True, False]


def test_a_cancelled_check_reports_nothing(
    studio: Studio, host: Leaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled while it renders: no report, and what was rendered lies ready."""
    asked = request(studio, tmp_path)
    said: Callable[[Sequence[SpeakRow]], list[Speech]] = host.speak

    def cancelling(rows: Sequence[SpeakRow]) -> list[Speech]:
        job = studio.leak_job()
        assert job is not None
        studio.cancel(job.id)
        return said(rows)

    monkeypatch.setattr(host, "speak", cancelling)
    job = studio.start_leak_check(asked)
    wait_until(lambda: studio.job(job).ended_at is not None)
    assert studio.job(job).state is JobState.CANCELLED
    assert studio.leak_reports() == []
    assert len(studio.plan_leak_check(asked).missing) < 6


class Telling(FakeHost):
    """Tells tokens by the text; those of its reference's last second come first where an adapter is on."""

    def speak(self, rows: Sequence[SpeakRow]) -> list[Speech]:
        return [
            replace(speech, speech_tokens=self._tokens(row))
            for row, speech in zip(rows, super().speak(rows), strict=True)
        ]

    def _tokens(self, row: SpeakRow) -> SpeechTokens:
        assert row.reference is not None
        reference, said = (
            tuple(random.Random(text).choices(range(900), k=120)) for text in (PROMPT, f"{row.text}{row.seed}")
        )
        return SpeechTokens(said=reference[-25:] + said if row.lora_scale else said, reference=reference, rate_hz=25.0)


def test_tokens_of_the_reference_at_the_beginnings_are_found_by_what_other_lines_say(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rendered with their tokens, the gate fires for the adapter alone; without the files nothing is measured, and a
    model that tells no tokens is told apart from clips that are older than the files.
    """
    studio._hosts["fake"] = Telling()  # type: ignore[assignment]
    monkeypatch.setattr(backends, "info", lambda *_: replace(backend_info(), reference="optional", tells_tokens=True))
    lines = tuple(Line(id=f"l{n}", tier=Tier.SHORT, text=f"This is the line of number {n}.") for n in range(10))
    asked = replace(request(studio, tmp_path), script=replace(SCRIPT, lines=lines))
    gate = checked(studio, asked).gates[4]
    assert gate.passed is False, gate.explanation
    assert gate.value > 0.9
    assert "at the base's 3 %" in gate.explanation
    for path in studio.workspace.clips.glob("*.tokens"):
        path.unlink()
    gate = checked(studio, asked).gates[4]
    assert gate.passed is None
    assert gate.explanation.startswith("Not measured: the 10 clips were rendered before")
    monkeypatch.setattr(backends, "info", lambda *_: replace(backend_info(), reference="optional"))
    assert "tells no speech tokens" in checked(studio, asked).gates[4].explanation


def test_a_prompt_free_voice_has_nothing_to_check(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "Not applicable" is said before anything is rendered; so is a check without a reference."""
    asked = sweep.Request(candidates=(TUNED,), script=SCRIPT)
    with pytest.raises(Refused, match="choose both"):
        studio.plan_leak_check(asked)
    monkeypatch.setattr(backends, "info", lambda *_: backend_info())
    with pytest.raises(Refused, match="Not applicable"):
        studio.start_leak_check(asked)
