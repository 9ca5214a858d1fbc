"""What the training scripts rest on: texts held out, voices aligned, demo data as promised."""

import json
import random
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from engine.backends.finch import language_model as lm
from engine.backends.finch.layers import FiniteScalarQuantiser
from engine.backends.finch.pretrain import demo_data, model_card, voices
from engine.backends.finch.pretrain.data import make_group, utter
from engine.backends.finch.pretrain.pairs import Member, aligned_frames
from engine.backends.finch.pretrain.texts import HARVARD, Corpus
from engine.backends.finch.pretrain.train_lm import corrupt, endless_batches

SENTENCES = Path(__file__).parents[3] / "assets" / "finch" / "sentences.txt.gz"


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
    began = time.process_time()  # a busy machine is no fault of what is measured
    made = demo_data.make(tmp_path / "a", minutes=1.2, seed=3)
    again = demo_data.make(tmp_path / "b", minutes=1.2, seed=3)
    assert time.process_time() - began < 40
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


def test_corruption_touches_speech_tokens_alone() -> None:
    words = lm.Vocabulary((1.0, 2.0), 2, 1000)
    ids = torch.cat([torch.arange(7).expand(50, 7), torch.randint(7, 1007, (50, 200))], 1)
    damaged = corrupt(ids, words, FiniteScalarQuantiser((8, 5, 5, 5)))
    assert torch.equal(damaged[:, :7], ids[:, :7])
    assert int(damaged[:, 7:].min()) >= words.first_token
    assert int(damaged.max()) < words.size
    assert 0.02 < float((damaged != ids).float().mean()) < 0.15


def test_batches_hold_every_base_utterance_once_an_epoch() -> None:
    items = [lm.Item(0, (0,) * 5, (1,) * (20 + n), 1.0) for n in range(200)]
    batches = endless_batches(items, random.Random(0))
    seen: list[int] = []
    while len(seen) < 200:
        batch = next(batches)
        assert max(map(len, batch)) * len(batch) <= 3000
        seen += [len(item.tokens) for item in batch]
    assert sorted(seen) == [20 + n for n in range(200)]


def test_the_figures_find_their_way_into_the_card(tmp_path: Path) -> None:
    row = {
        "clips": 3,
        "runaways": 0,
        "per": {"mean": 0.05, "low": 0.04, "high": 0.06},
        "per_second_ear": {"mean": 0.06, "low": 0.05, "high": 0.07},
    }
    figures = {name: row for name in ("copy_synthesis", "short", "medium", "long")}
    figures |= {"ear": {"base": row, "unheard": row}, "unheard_tokens": {"a": row, "b": row}}
    (tmp_path / "evaluation.json").write_text(json.dumps(figures))
    card = SENTENCES.parent / "README.md"
    (tmp_path / "README.md").write_text(card.read_text())
    model_card.run(tmp_path)
    model_card.run(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.count("| 5.0 (4.0 to 6.0) | 6.0 (5.0 to 7.0) | 3 | 0 |") == 8
