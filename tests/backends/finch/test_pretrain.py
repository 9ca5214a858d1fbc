"""What the training scripts rest on: texts held out, voices aligned, demo data as promised."""

import json
import random
import time
from pathlib import Path

import numpy as np
import soundfile

from engine.backends.finch.pretrain import demo_data, voices
from engine.backends.finch.pretrain.data import make_group, utter
from engine.backends.finch.pretrain.pairs import Member, aligned_frames
from engine.backends.finch.pretrain.texts import HARVARD, Corpus, test_pairs, test_paragraphs

SENTENCES = Path(__file__).parents[3] / "assets" / "finch" / "sentences.txt.gz"
test_pairs.__test__ = test_paragraphs.__test__ = False  # type: ignore[attr-defined]


def test_no_test_sentence_is_in_the_corpus_and_development_text_is_apart() -> None:
    corpus = Corpus.load(SENTENCES)
    everything = " ".join((*corpus.training, *corpus.development)).lower()
    assert not any(sentence.lower().rstrip(".") in everything for sentence in HARVARD)
    assert not set(corpus.training) & set(corpus.development)
    assert len(corpus.training) > 12_000


def test_training_paragraphs_follow_from_the_seed_and_are_never_test_text() -> None:
    corpus = Corpus.load(SENTENCES)
    first = [corpus.paragraph(random.Random(seed)) for seed in range(50)]
    assert first == [corpus.paragraph(random.Random(seed)) for seed in range(50)]
    assert max(map(len, first)) <= 330
    assert not any(sentence in text for sentence in HARVARD for text in first)


def test_unheard_voices_and_their_relations_are_in_no_training() -> None:
    known = {*voices.VARIANTS, *(variant for variant, _ in voices.BASE_VOICES.values())}
    assert not known & {"steph", "steph2", "steph3", "belinda", "linda"}


def test_members_of_a_group_speak_the_same_phonemes_and_can_be_aligned() -> None:
    group = make_group(Corpus.load(SENTENCES), random.Random(4))
    assert len(group) >= 4
    assert len({tuple(spoken.pronunciation.symbols) for _, spoken in group}) == 1
    members = []
    for number, (_, spoken) in enumerate(group[:2]):
        starts = [p.start_s for p in spoken.pronunciation.phonemes]
        length = len(spoken.features) / 100
        members.append(Member(number, spoken.features, np.array([*starts, length], np.float32)))
    frames = np.arange(len(members[1].features))
    aligned = aligned_frames(members[0], members[1], frames)
    straight = frames.clip(max=len(members[0].features) - 1)
    target = members[1].features[:, 1:13]

    def distance(found: np.ndarray) -> float:
        difference = members[0].features[found][:, 1:13] - target
        return float((difference - difference.mean(0)).abs().mean())

    assert distance(aligned) <= distance(straight)


def test_demo_data_is_quick_repeatable_and_has_its_faults(tmp_path: Path) -> None:
    began = time.monotonic()
    made = demo_data.make(tmp_path / "a", minutes=1.2, seed=3)
    again = demo_data.make(tmp_path / "b", minutes=1.2, seed=3)
    assert time.monotonic() - began < 40
    rows = [json.loads(line) for line in made.manifest.read_text().splitlines()]
    assert made.manifest.read_text() == again.manifest.read_text()
    assert 1.2 <= made.minutes < 1.5
    first, rate_hz = soundfile.read(tmp_path / "a" / rows[0]["audio"])
    assert rate_hz == 16_000
    second = soundfile.read(tmp_path / "b" / rows[0]["audio"])[0]
    assert abs(len(first) - len(second)) < 0.01 * len(first)
    faulty = [json.loads(line) for line in made.faulty_manifest.read_text().splitlines()]
    changed = [number for number, row in enumerate(faulty) if row != rows[number]]
    assert changed == [1, 3, 5, 7, 9, 11]
    assert not (tmp_path / "a" / faulty[5]["audio"]).exists()
    assert soundfile.info(tmp_path / "a" / faulty[9]["audio"]).samplerate == 8000
    assert (tmp_path / "a" / faulty[11]["audio"]).stat().st_size == 0


def test_speech_is_made_at_one_level() -> None:
    spoken = utter(HARVARD[0], voices.UNHEARD["belinda"])
    assert abs(float(spoken.samples.square().mean().sqrt()) - 0.08) < 1e-3
