"""The harness: seeds, rows, retries and joining."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine import harness
from engine.types import Candidate, GenerationSettings, Reference, Stop
from tests.fake_host import SAMPLE_RATE, FakeHost, adapter

PROMPT = Reference(audio_path=Path("r.flac"), text="Hello.", sha256="r")


def test_each_chunk_has_a_fixed_seed_of_its_own() -> None:
    """The seed follows from the clip's seed and the place alone, so every candidate draws the same noise."""
    seeds = [harness.chunk_seed(seed, index) for seed in (0, 1, 42) for index in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert harness.chunk_seed(42, 0) == harness.chunk_seed(42, 0)


def test_rows_carry_all_that_their_audio_depends_on() -> None:
    """One row a chunk, each with voice, adapter, scale, settings and the adapter's voice settings."""
    settings = GenerationSettings(temperature=0.7)
    found = harness.rows(
        "One. Two.",
        voice="robin",
        seed=7,
        adapter_sha256="a",
        lora_scale=0.5,
        voice_settings={"clock": 2.0},
        settings=settings,
        reference=PROMPT,
        language="de",
        max_chars=5,
    )
    assert [row.text for row in found] == ["One.", "Two."]
    assert {row.seed for row in found} == {harness.chunk_seed(7, 0), harness.chunk_seed(7, 1)}
    assert all(
        (row.voice, row.adapter_sha256, row.lora_scale, row.voice_settings, row.settings, row.reference, row.language)
        == ("robin", "a", 0.5, {"clock": 2.0}, settings, PROMPT, "de")
        for row in found
    )


def test_joining_keeps_every_chunk_and_a_fixed_pause() -> None:
    """The joined length is the chunks and the pauses between them; ends fade so that nothing clicks."""
    chunks = [np.ones(1000, np.float32), np.ones(500, np.float32), np.ones(3, np.float32)]
    joined = harness.join(chunks, 1000, pause_sec=0.1)
    assert len(joined) == 1503 + 200
    assert not joined[1000:1100].any()
    assert joined[0] == 0
    assert joined[999] == 0
    assert joined[500] == 1
    assert chunks[0][0] == 1, "the chunks themselves are left alone"
    assert len(harness.join([], 1000)) == 0


def test_a_text_ends_at_the_cap_when_any_chunk_does() -> None:
    """One runaway chunk makes the whole clip a runaway."""
    host = FakeHost()
    text = (
        "This one is fine and it is quite long, so that it fills a chunk on its own, with a little more to be sure. "
        * 2
    )
    candidate = Candidate(backend="fake", voice="robin", checkpoint_id="r@000001", lora_scale=0.5)
    fine = harness.speak(text, host=host, candidate=candidate, adapter=adapter(), seed=1)
    assert fine.stop is Stop.EOS
    assert len(host.batches) == 1
    assert len(host.batches[0]) == 2
    assert len(fine.samples) == sum(round(len(r.text) / 14 * SAMPLE_RATE) for r in host.batches[0]) + 0.2 * SAMPLE_RATE
    endless = harness.speak(text + "And then forever.", host=host, candidate=candidate, adapter=adapter(), seed=1)
    assert endless.stop is Stop.CAP


def test_a_retry_is_another_seed_and_is_counted() -> None:
    """What was cut at the cap is drawn again as often as the settings allow, alone, and the clip says so."""
    host = FakeHost()
    base = Candidate(backend="fake", voice="robin")
    text = "This goes on forever. And this does not."
    allowed = GenerationSettings(retries=2)
    asked = harness.rows(text, voice="robin", seed=1, settings=allowed, max_chars=22)
    found = harness.spoken(asked, host)
    assert [(speech.stop, speech.attempts) for speech in found] == [(Stop.CAP, 3), (Stop.EOS, 1)]
    assert [len(batch) for batch in host.batches] == [2, 1, 1]
    assert len({batch[0].seed for batch in host.batches}) == 3
    assert harness.speak(text, host=host, candidate=base, adapter=None, seed=1, settings=allowed).attempts == 3


def test_nothing_is_drawn_twice_unless_it_is_asked_for() -> None:
    """Without retries a runaway stays what it is: a retry would hide what users will hear."""
    host = FakeHost()
    found = harness.spoken(harness.rows("It goes on forever.", voice="robin", seed=1), host)
    assert (found[0].stop, found[0].attempts, len(host.batches)) == (Stop.CAP, 1, 1)
