"""Each measure: what it says of clips with a known fault, and that a clean clip is not flagged."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from engine import audio, screeners
from engine.screeners import SCREENERS, acoustics, voice_profile
from engine.screeners.heard import Profile, compare
from engine.types import BadInput, Candidate, Clip, GenerationSettings, Stop, Tier, Utterance
from tests.screeners.voices import RATE, FakeEar, buzz, heard, quiet, word

# The reason codes of the gate that measures can be evidence for.
REASONS = {
    *("dropped word", "merged word", "inserted speech", "wrong timbre", "accent drift", "too fast", "too slow"),
    *("noise", "onset", "monotone", "other"),
}
CLEAN = np.concatenate([quiet(0.2), buzz(1.0), quiet(0.3), buzz(1.0), quiet(0.2)])


def test_every_screener_explains_itself_in_a_sentence() -> None:
    """Each answer names the clip, the measure, its version and unit, and says in a sentence what was found."""
    for name, screener in SCREENERS.items():
        for clip in (heard(CLEAN), heard(quiet(1.0)), heard(CLEAN, ears=(), stop=None)):
            answer = screener(clip)
            assert (answer.clip_id, answer.screener, answer.version, answer.unit) == (
                "c1",
                name,
                screener.version,
                screener.unit,
            )
            assert answer.explanation[0].isupper() or answer.explanation[0].isdigit()
            assert answer.explanation.endswith(".")


def test_every_screener_says_what_it_hears_and_what_for() -> None:
    """A reviewer can read what each measure hears, and it is evidence for reasons that a gate knows."""
    for screener in SCREENERS.values():
        assert screener.title[0].isupper()
        assert screener.about.endswith(".")
        assert screener.serves
        assert set(screener.serves) <= REASONS


def test_nothing_is_said_to_be_fine_without_an_ear() -> None:
    """Where no recogniser can follow, words and phonemes are not judged, never passed."""
    for name in ("words", "phoneme_errors", "after_text", "rate"):
        answer = SCREENERS[name](heard(CLEAN, ears=()))
        assert answer.passed is None
        assert math.isnan(answer.value) or name == "rate"


# --------------------------------------------------------------------------------------------------------------- words
def test_missing_words_are_counted_and_named() -> None:
    """The explanation says how many of how many, and which."""
    ear = FakeEar(heard=tuple("thequiet"), words=(word("the"), word("harbour", "dropped"), word("quiet.", "ok")))
    answer = SCREENERS["words"](heard(CLEAN, "the harbour quiet.", ears=(ear,)))
    assert answer.passed is False
    assert answer.value == pytest.approx(100 / 3)
    assert answer.explanation == "1 of 3 words missing: harbour."


def test_merged_and_invented_words_are_faults_too_and_unclear_ones_are_told() -> None:
    """Run together and invented flag the clip; a word that is merely unclear does not."""
    told = (word("a"), word("b", "merged"), word("/x y/", "inserted"), word("c", "wrong"))
    answer = SCREENERS["words"](heard(CLEAN, "a b c", ears=(FakeEar(heard=("a", "b", "c"), words=told),)))
    assert answer.passed is False
    assert "1 run together: b" in answer.explanation
    assert "1 invented stretch" in answer.explanation
    unclear = SCREENERS["words"](
        heard(CLEAN, "a c", ears=(FakeEar(heard=("a", "c"), words=(word("a"), word("c", "wrong"))),))
    )
    assert unclear.passed is True
    assert "1 unclear: c" in unclear.explanation


def test_an_ear_that_cannot_follow_does_not_judge_words() -> None:
    """With most phonemes heard as others, the answer is that it cannot be said, not that all is well."""
    lost = heard(CLEAN, "good day", ears=(FakeEar(heard=tuple("zzzzzz"), words=(word("good"), word("day"))),))
    answer = SCREENERS["words"](lost)
    assert answer.passed is None
    assert "annot judge this voice" in answer.explanation
    assert SCREENERS["phoneme_errors"](lost).passed is False


@pytest.mark.parametrize(
    ("expected", "recognised", "counts"),
    [
        ("", "", (0, 0, 0)),
        ("abc", "abc", (0, 0, 0)),
        ("abc", "abd", (1, 0, 0)),
        ("abc", "ac", (0, 1, 0)),
        ("abc", "abxc", (0, 0, 1)),
        ("abc", "", (0, 3, 0)),
        ("", "ab", (0, 0, 2)),
        ("kitten", "sitting", (2, 0, 1)),
    ],
)
def test_phoneme_errors_are_the_least_edits(expected: str, recognised: str, counts: tuple[int, int, int]) -> None:
    """Substitutions, deletions and insertions as in the textbook."""
    errors = compare(expected, recognised)
    assert (errors.substituted, errors.deleted, errors.inserted) == counts
    assert errors.percent == pytest.approx(100 * sum(counts) / max(1, len(expected)))


@pytest.mark.parametrize(("heard_as", "passed"), [("abcdefghij", True), ("abcdefgxxj", True), ("abcdefxxxj", False)])
def test_phoneme_errors_pass_up_to_a_fifth_and_fail_from_a_third(heard_as: str, passed: bool) -> None:
    """The limits that the measure states are the ones it keeps."""
    answer = SCREENERS["phoneme_errors"](heard(CLEAN, "abcdefghij", ears=(FakeEar(heard=tuple(heard_as)),)))
    assert answer.passed is passed


# --------------------------------------------------------------------------------------------- end, silence, clipping
@pytest.mark.parametrize(("stop", "passed"), [(Stop.EOS, True), (Stop.CAP, False), (None, None)])
def test_the_end_is_what_generation_said(stop: Stop | None, passed: bool | None) -> None:
    """A clip cut at its cap is a runaway; of a foreign file nobody knows."""
    assert SCREENERS["end"](heard(CLEAN, stop=stop)).passed is passed


@pytest.mark.parametrize(
    ("samples", "named"),
    [
        (np.concatenate([quiet(1.3), buzz(1)]), "at the start"),
        (np.concatenate([buzz(1), quiet(1.8)]), "at the end"),
        (np.concatenate([buzz(1), quiet(1.8), buzz(1)]), "inside"),
        (quiet(1.0), "silent"),
    ],
    ids=["start", "end", "inside", "all"],
)
def test_long_silences_are_flagged_where_they_are(samples: np.ndarray, named: str) -> None:  # type: ignore[type-arg]
    """Start, end and inner pauses have limits of their own, and the sentence says which was passed."""
    answer = SCREENERS["silence"](heard(samples))
    assert answer.passed is False
    assert named in answer.explanation
    assert SCREENERS["silence"](heard(CLEAN)).passed is True


def test_the_longest_pause_is_measured() -> None:
    """The value is the longest inner pause in seconds."""
    assert SCREENERS["silence"](heard(CLEAN)).value == pytest.approx(0.3, abs=0.03)


def test_clipped_samples_are_counted_and_a_peak_is_none() -> None:
    """Runs at full scale are clipping; a single sample that touches it is not."""
    peak = buzz(1.0)
    peak[1000] = 1.0
    assert SCREENERS["clipping"](heard(peak)).value == 0
    loud = np.clip(buzz(1.0, level=0.9), -1, 1)
    answer = SCREENERS["clipping"](heard(loud))
    assert answer.passed is False
    assert answer.value > 1


# ------------------------------------------------------------------------------------------------ rate, pitch, timbre
def test_rate_is_compared_with_the_base_on_the_same_line() -> None:
    """Half the time for the same phonemes is twice the rate, silence around it left out."""
    slow = heard(np.concatenate([quiet(0.5), buzz(2.0), quiet(0.5)]))
    fast = heard(buzz(1.0), base=slow.profile)
    answer = SCREENERS["rate"](fast)
    assert answer.value == pytest.approx(7.0, rel=0.05)
    assert answer.passed is False
    assert "faster" in answer.explanation
    assert SCREENERS["rate"](heard(buzz(1.9), base=slow.profile)).passed is True
    assert "slower" in SCREENERS["rate"](heard(buzz(4.0), base=slow.profile)).explanation


@pytest.mark.parametrize("f0_hz", [80.0, 120.0, 190.0, 260.0])
def test_pitch_is_the_median_f0(f0_hz: float) -> None:
    """Within two per cent for the range of human voices."""
    assert SCREENERS["pitch"](heard(buzz(1.0, f0_hz))).value == pytest.approx(f0_hz, rel=0.02)


def test_pitch_tells_the_way_to_the_target() -> None:
    """An octave below is twelve semitones."""
    target = voice_profile.profile(buzz(1.0, 200.0), RATE)
    assert "12.0 semitones below" in SCREENERS["pitch"](heard(buzz(1.0, 100.0), target=target)).explanation


def test_similarity_is_nought_at_the_base_and_a_hundred_at_the_target() -> None:
    """The projection runs from the base to the target, grows between, and says how far off to the side it is."""
    base, target = (voice_profile.profile(buzz(2.0, f0, tilt=tilt), RATE) for f0, tilt in ((100.0, 0.5), (180.0, 2.0)))
    values = [
        SCREENERS["similarity"](heard(buzz(2.0, f0, tilt=tilt), base=base, target=target)).value
        for f0, tilt in ((100.0, 0.5), (140.0, 1.2), (180.0, 2.0))
    ]
    assert values[0] == pytest.approx(0, abs=1)
    assert values[2] == pytest.approx(100, abs=1)
    assert 10 < values[1] < 95
    told = SCREENERS["similarity"](heard(buzz(2.0, 180.0, tilt=2.0), base=base, target=target)).explanation
    assert "the pitch 100 %" in told
    assert SCREENERS["similarity"](heard(CLEAN)).passed is None


def test_profiles_pool_over_clips_and_do_not_follow_the_level() -> None:
    """A voice's profile is the mean of its clips', and a louder clip is the same voice."""
    one, two = voice_profile.profile(buzz(1.0, 100.0), RATE), voice_profile.profile(buzz(1.0, 200.0, tilt=2.0), RATE)
    pooled = voice_profile.pooled([one, two])
    assert pooled.f0_hz == pytest.approx((one.f0_hz + two.f0_hz) / 2)
    assert pooled.cepstrum[3] == pytest.approx((one.cepstrum[3] + two.cepstrum[3]) / 2)
    louder = voice_profile.profile(buzz(1.0, 100.0, level=0.2), RATE)
    assert np.allclose(louder.cepstrum, one.cepstrum, atol=0.5)
    nothing = voice_profile.profile(quiet(1.0), RATE)
    assert math.isnan(nothing.f0_hz)
    assert not math.isnan(voice_profile.pooled([one, nothing]).f0_hz)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_measures_do_not_depend_on_the_rate_of_the_file(rate: int) -> None:
    """A clip at another sample rate has the same pitch and pauses."""
    samples = audio.resample(CLEAN, RATE, rate)
    assert acoustics.median_f0_hz(samples, rate) == pytest.approx(120, rel=0.02)
    assert acoustics.active_sec(samples, rate) == pytest.approx(2.3, abs=0.05)


# ------------------------------------------------------------------------------------------------------ clips and files
def clip_of(path: Path, **changes: object) -> Clip:
    given: dict[str, object] = {
        "id": "c9",
        "candidate": Candidate(backend="fake", voice="robin"),
        "adapter_sha256": None,
        "script_sha256": "s",
        "line_id": "l",
        "tier": Tier.SHORT,
        "text": "good day",
        "seed": 1,
        "path": path,
        "sample_rate": RATE,
        "duration_sec": 1.0,
        "stop": Stop.CAP,
        "chunks": 1,
        "settings": GenerationSettings(),
        "harness_version": "1",
        "render_sec": 0.1,
    } | changes
    return Clip(**given)  # type: ignore[arg-type]


def test_a_clip_is_screened_by_every_measure(tmp_path: Path) -> None:
    """One answer a screener, in the table's order, with the clip's own ending; the ear aligns only once."""
    audio.write(tmp_path / "c.flac", CLEAN, RATE)
    ear = FakeEar(heard=tuple("goodday"), words=(word("good"), word("day")))
    answers = screeners.screen(clip_of(tmp_path / "c.flac"), ears=(ear,))
    assert [answer.screener for answer in answers] == list(SCREENERS)
    assert {answer.clip_id for answer in answers} == {"c9"}
    assert next(a for a in answers if a.screener == "end").passed is False
    assert ear.asked == ["good day"]
    assert screeners.words(clip_of(tmp_path / "c.flac"), (ear,)) == ear.words


def test_a_file_is_screened_with_its_text(tmp_path: Path) -> None:
    """Any file can be screened; an empty text or a file that is no audio is refused in a sentence."""
    path = tmp_path / "c.wav"
    audio.write(path, CLEAN, RATE)
    screening = screeners.screen_file(path, "good day")
    assert screening.duration_sec == pytest.approx(2.7, abs=0.01)
    assert {score.screener for score in screening.scores} == set(SCREENERS)
    with pytest.raises(BadInput, match="text"):
        screeners.screen_file(path, " ... ")
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(BadInput, match=r"empty\.wav"):
        screeners.screen_file(tmp_path / "empty.wav", "good day")
    audio.write(tmp_path / "short.wav", CLEAN[:100], RATE)
    with pytest.raises(BadInput, match=r"short\.wav"):
        screeners.screen_file(tmp_path / "short.wav", "good day")


def test_a_clip_of_a_voice_that_said_nothing_is_flagged_and_no_error(tmp_path: Path) -> None:
    """The shortest clip that a sweep can publish goes through every measure."""
    audio.write(tmp_path / "c.flac", np.zeros(RATE // 10, np.float32), RATE)
    answers = {a.screener: a for a in screeners.screen(clip_of(tmp_path / "c.flac"), ears=(FakeEar(),))}
    assert answers["silence"].passed is False
    assert answers["phoneme_errors"].passed is False


def test_a_voice_is_profiled_from_its_first_minute(tmp_path: Path) -> None:
    """Recordings are read until there is enough speech, and none give none."""
    found = []
    for number in range(4):
        audio.write(tmp_path / f"{number}.flac", buzz(1.0, 150.0), RATE)
        found.append(Utterance(id=str(number), audio_path=tmp_path / f"{number}.flac", text="good day"))
    found.append(Utterance(id="gone", audio_path=tmp_path / "gone.flac", text="never read"))
    profile = screeners.profile(found, max_sec=3.5)
    assert isinstance(profile, Profile)
    assert profile.f0_hz == pytest.approx(150, rel=0.02)
    assert screeners.profile([]) is None


def test_a_language_that_no_ear_knows_has_none() -> None:
    """Screening then goes on without words, and says that it cannot judge."""
    assert screeners.ears("unheard-of", "sw") == ()
