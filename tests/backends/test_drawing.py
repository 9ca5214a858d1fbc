"""A row's draws follow from its seed and settings, and are draws from the distribution that they claim to be from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.backends.drawing import Chooser, GaussianNoise, Repetition
from engine.types import GenerationSettings, SpeakRow

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, 9.0])
CODES = 5  # the last id stands for no sound
DRAWS = 4000


def row(seed: int, **settings: float) -> SpeakRow:
    told = replace(GenerationSettings(temperature=1.0, top_k=0), **settings)  # type: ignore[arg-type]
    return SpeakRow(text="a", voice="default", seed=seed, settings=told)


def shares(one: SpeakRow) -> torch.Tensor:
    """How often each code is drawn."""
    chooser = Chooser([one], CODES)
    return torch.bincount(torch.cat([chooser.choose(LOGITS[None]) for _ in range(DRAWS)]), minlength=6) / DRAWS


@pytest.mark.parametrize(
    ("settings", "kept"),
    [({}, 5), ({"temperature": 2.0}, 5), ({"top_k": 2}, 2), ({"top_p": 0.7}, 2), ({"top_k": 3, "top_p": 0.99}, 3)],
)
def test_codes_are_drawn_as_often_as_they_should_be(settings: dict[str, float], kept: int) -> None:
    """Within four standard errors of softmax over what top-k and top-p leave."""
    expected = torch.zeros(6)
    expected[:kept] = (LOGITS[:kept] / settings.get("temperature", 1.0)).softmax(0)
    error = (expected * (1 - expected) / DRAWS).sqrt()
    assert ((shares(row(1, **settings)) - expected).abs() <= 4 * error + 1e-9).all()


def test_temperature_0_takes_the_most_probable_code() -> None:
    """Also beside rows that draw."""
    chosen = Chooser([row(1, temperature=0.0), row(2)], CODES)
    assert {int(chosen.choose(LOGITS.repeat(2, 1))[0]) for _ in range(20)} == {0}


def test_a_row_draws_the_same_whatever_its_neighbours_are() -> None:
    """Codes and noise alike: other seeds, temperatures and filters beside it change nothing."""
    mine, others = row(5, top_p=0.9), [row(6), row(7, top_k=2, temperature=3.0)]
    alone, beside = Chooser([mine], CODES), Chooser([others[0], mine, others[1]], CODES)
    for _ in range(50):
        assert int(alone.choose(LOGITS[None])[0]) == int(beside.choose(LOGITS.repeat(3, 1))[1])
    one, three = GaussianNoise([mine]), GaussianNoise([others[0], mine, others[1]])
    for _ in range(5):
        assert torch.equal(one.draw(torch.zeros(1, 32))[0], three.draw(torch.zeros(3, 32))[1])


def test_what_was_said_becomes_less_likely_by_the_rows_own_factor() -> None:
    """Scores above zero are divided and those below multiplied; the end is never penalised, and out where a row may
    not end yet. Rows that leave take what they said with them.
    """
    rows = [row(0, repetition_penalty=2.0), row(1, repetition_penalty=1.0)]
    repetition = Repetition(rows, CODES, torch.device("cpu"))
    logits = LOGITS.expand(2, -1)
    repetition.note(torch.tensor([0, 4]))
    repetition.note(torch.tensor([4, 0]))
    scores = repetition.scores(logits, 5, may_end=True)
    assert scores[0].tolist() == [1.0, 1.0, 0.5, 0.0, -2.0, 9.0]
    assert scores[1].tolist() == LOGITS.tolist()
    assert repetition.scores(logits, 5, may_end=False)[0, -1] == -torch.inf
    repetition.keep([1])
    assert repetition.scores(logits[:1], 5, may_end=True)[0].tolist() == LOGITS.tolist()
