"""The blind trial: balance, order, reproducibility, and that nothing observable depends on who is behind a clip."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import combinations, pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import listening
from engine.types import REASON_CODES, BadInput, Choice, Clip, Response, Slot, Trial, TrialKind
from tests.judgement_factory import BASE, make_candidate, make_clip, token_factory, with_checkpoint

CANDIDATES = [BASE, *(make_candidate(scale) for scale in (0.2, 0.35, 1.0)), make_candidate(0.35, step=9)]
LINES = [f"line{number}" for number in range(6)]

seeds = st.integers(0, 2**31 - 1)
clip_sets = st.lists(
    st.tuples(st.sampled_from(CANDIDATES), st.sampled_from(LINES)), min_size=1, max_size=24, unique=True
).map(lambda drawn: [make_clip(candidate, line=line) for candidate, line in drawn])
pair_sets = st.lists(
    st.tuples(st.sampled_from(list(permutations(CANDIDATES, 2))), st.sampled_from(LINES)), min_size=1, max_size=30
).map(lambda drawn: [(make_clip(a, line=line), make_clip(b, line=line)) for (a, b), line in drawn])


def gate_trials(clips: Sequence[Clip], seed: int = 1, repeats: int = 0) -> list[Trial]:
    return listening.gate_trials(clips, session_id="s", seed=seed, new_token=token_factory(), repeats=repeats)


def preference_trials(
    pairs: Sequence[tuple[Clip, Clip]], seed: int = 1, catches: int = 0, balance: listening.SideBalance | None = None
) -> list[Trial]:
    return listening.preference_trials(
        pairs, session_id="s", seed=seed, new_token=token_factory(), catches=catches, balance=balance
    )


def payloads(trials: Sequence[Trial]) -> str:
    """Everything that a page gets of a session, as it would go over the wire."""
    return json.dumps([asdict(listening.view(trial, position=1, total=len(trials))) for trial in trials])


def candidate_of(clip_id: str) -> str:
    return clip_id.split(" ")[2]


# ------------------------------------------------------------------------------------------------------------ blindness
@given(clip_sets, seeds, st.permutations(CANDIDATES))
def test_who_is_behind_a_gate_clip_changes_nothing_observable(
    clips: list[Clip], seed: int, others: list[object]
) -> None:
    """Exchanging the candidates of a gate session leaves order, texts, tokens and ids exactly as they were."""
    mapping = dict(zip(CANDIDATES, others, strict=True))
    swapped = [with_checkpoint(clip, mapping[clip.candidate]) for clip in clips]  # type: ignore[arg-type]
    repeats = len(clips) // 4
    assert payloads(gate_trials(clips, seed, repeats)) == payloads(gate_trials(swapped, seed, repeats))


@given(pair_sets, seeds, st.permutations(CANDIDATES))
def test_who_is_behind_a_pair_changes_nothing_observable(
    pairs: list[tuple[Clip, Clip]], seed: int, others: list[object]
) -> None:
    """Exchanging the candidates of a preference session leaves everything observable as it was."""
    mapping = dict(zip(CANDIDATES, others, strict=True))
    swapped = [
        (with_checkpoint(a, mapping[a.candidate]), with_checkpoint(b, mapping[b.candidate]))  # type: ignore[arg-type]
        for a, b in pairs
    ]
    catches = len(pairs) // 4
    assert payloads(preference_trials(pairs, seed, catches)) == payloads(preference_trials(swapped, seed, catches))


@given(pair_sets, seeds)
def test_exchanging_the_sides_of_a_trial_leaves_its_view_equal(pairs: list[tuple[Clip, Clip]], seed: int) -> None:
    """The view of a trial is the same whichever clip each of its tokens stands for."""
    for trial in preference_trials(pairs, seed):
        a, b = trial.slots
        crossed = (
            Slot(label=a.label, token=a.token, clip_id=b.clip_id),
            Slot(label=b.label, token=b.token, clip_id=a.clip_id),
        )
        other = Trial(**{**{f.name: getattr(trial, f.name) for f in fields(trial)}, "slots": crossed})
        assert listening.view(trial, position=1, total=5) == listening.view(other, position=1, total=5)


@given(pair_sets, seeds)
def test_a_view_names_nothing_that_identifies(pairs: list[tuple[Clip, Clip]], seed: int) -> None:
    """No clip id, candidate, checkpoint, scale, path, line, tier or catch mark is in what leaves the server."""
    told = payloads(preference_trials(pairs, seed, catches=len(pairs) // 2))
    for clip in {clip for pair in pairs for clip in pair}:
        for secret in (
            clip.id,
            clip.candidate.id,
            str(clip.path),
            clip.adapter_sha256,
            clip.line_id + '"',
            "catch",
            "tier",
        ):
            assert secret not in told
        assert clip.candidate.is_base or str(clip.candidate.checkpoint_id) not in told


def test_the_fields_of_a_view_are_pinned() -> None:
    """A new field of the view is a decision about blindness, not an accident."""
    names = [field.name for field in fields(listening.TrialView)]
    pinned = "trial_id kind text slots position total reasons scale training switching upcoming previous control"
    assert names == pinned.split()


def test_a_catch_trial_looks_like_any_other() -> None:
    """An identical pair has two tokens and the fields of any trial, so that only listening can tell."""
    pair = (make_clip(CANDIDATES[1]), make_clip(CANDIDATES[2]))
    trials = preference_trials([pair], catches=1)
    catch = next(trial for trial in trials if trial.is_catch)
    assert catch.slots[0].clip_id == catch.slots[1].clip_id
    assert catch.slots[0].token != catch.slots[1].token
    views = [asdict(listening.view(trial, position=1, total=2)) for trial in trials]
    assert {name for view in views for name in view if name in ("kind", "text", "reasons")} == {
        "kind",
        "text",
        "reasons",
    }
    assert len({(v["kind"], v["text"], v["reasons"], tuple(label for label, _ in v["slots"])) for v in views}) == 1


@given(clip_sets, seeds)
def test_a_token_is_never_used_twice(clips: list[Clip], seed: int) -> None:
    """Every presentation has its own token, also when the same clip is heard again."""
    trials = gate_trials(clips, seed, repeats=len(clips))
    tokens = [slot.token for trial in trials for slot in trial.slots]
    assert len(tokens) == len(set(tokens)) == 2 * len(clips)


def test_a_token_factory_that_repeats_itself_is_refused() -> None:
    """Equal tokens would tell that two presentations are the same clip."""
    with pytest.raises(ValueError, match="same token twice"):
        listening.gate_trials(
            [make_clip(line="s1"), make_clip(line="s2")], session_id="s", seed=1, new_token=lambda: "token"
        )


# ---------------------------------------------------------------------------------------------------- order and balance
@given(pair_sets, seeds)
def test_sides_are_counterbalanced_after_any_number_of_trials(pairs: list[tuple[Clip, Clip]], seed: int) -> None:
    """At every point of a sitting, a pair's first candidate was on A at most once more or less than the second."""
    standing: Counter[tuple[str, str]] = Counter()
    for trial in preference_trials(pairs, seed):
        on_a, on_b = (candidate_of(slot.clip_id) for slot in trial.slots)
        standing[min(on_a, on_b), max(on_a, on_b)] += 1 if on_a < on_b else -1
        assert abs(standing[min(on_a, on_b), max(on_a, on_b)]) <= 1


@given(st.lists(pair_sets, min_size=2, max_size=4), seeds)
def test_sides_stay_counterbalanced_over_sittings(sittings: list[list[tuple[Clip, Clip]]], seed: int) -> None:
    """A reviewer's earlier sittings count: the balance goes on where it stood."""
    heard: list[Trial] = []
    for number, pairs in enumerate(sittings):
        heard += preference_trials(pairs, seed + number, balance=listening.side_balance(heard, candidate_of))
    assert all(abs(count) <= 1 for count in listening.side_balance(heard, candidate_of).values())


def test_the_coin_is_fair() -> None:
    """A pair that is asked once starts with either side equally often over seeds."""
    pair = (make_clip(CANDIDATES[1]), make_clip(CANDIDATES[2]))
    first = sum(preference_trials([pair], seed)[0].slots[0].clip_id == pair[0].id for seed in range(1000))
    assert 437 <= first <= 563  # four standard deviations


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=16), seeds)
def test_the_same_line_is_not_heard_twice_in_a_row_when_avoidable(lines: list[str], seed: int) -> None:
    """Equal lines are neighbours exactly as often as their numbers force them to be."""
    clips = [make_clip(line=line, seed=number) for number, line in enumerate(lines)]
    order = [trial.line_id for trial in gate_trials(clips, seed)]
    most = max(Counter(lines).values())
    forced = max(0, 2 * most - len(lines) - 1)
    assert sum(a == b for a, b in pairwise(order)) == forced
    assert Counter(order) == Counter(lines)


@given(clip_sets, seeds, st.randoms(use_true_random=False))
def test_a_seed_gives_the_same_session_whatever_the_order_of_the_clips(
    clips: list[Clip], seed: int, random: object
) -> None:
    """The log of a session can be replayed: seed and clips determine every trial, the order of the input does not."""
    shuffled = list(clips)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert gate_trials(clips, seed) == gate_trials(shuffled, seed)


def test_another_seed_gives_another_order() -> None:
    """Reviewers do not all hear the clips in one order."""
    clips = [make_clip(candidate, line=line) for candidate in CANDIDATES for line in LINES]
    orders = {tuple(trial.slots[0].clip_id for trial in gate_trials(clips, seed)) for seed in range(20)}
    assert len(orders) == 20


@given(clip_sets, seeds)
def test_every_clip_is_asked_about_once(clips: list[Clip], seed: int) -> None:
    """A gate session holds each clip in exactly one trial that counts, and positions run from 0."""
    trials = gate_trials(clips, seed, repeats=1)
    counted = [trial.slots[0].clip_id for trial in trials if not trial.is_catch]
    assert sorted(counted) == sorted(clip.id for clip in clips)
    assert [trial.position for trial in trials] == list(range(len(clips) + 1))
    assert len({trial.id for trial in trials}) == len(trials)


# --------------------------------------------------------------------------------------------------------- bad requests
def test_a_pair_must_be_on_one_line() -> None:
    """Two different texts cannot be compared."""
    with pytest.raises(BadInput, match="one line"):
        preference_trials([(make_clip(CANDIDATES[1], line="s1"), make_clip(CANDIDATES[2], line="s2"))])


def test_a_candidate_is_not_compared_with_itself() -> None:
    """Identical pairs are catch trials and are asked for as such."""
    with pytest.raises(BadInput, match="with itself"):
        preference_trials([(make_clip(seed=1), make_clip(seed=2))])


@pytest.mark.parametrize("count", [-1, 2])
def test_more_catch_trials_than_trials_are_refused(count: int) -> None:
    """Catch trials are drawn from what is asked anyway."""
    with pytest.raises(BadInput, match="ask for 0 to 1"):
        gate_trials([make_clip()], repeats=count)


def answer(trial: Trial, choice: Choice, reasons: tuple[str, ...] = (), session_id: str = "s") -> Response:
    return Response(
        trial_id=trial.id, session_id=session_id, choice=choice, reasons=reasons, note="", plays={}, answered_at=1.0
    )


def test_an_answer_must_fit_its_trial() -> None:
    """What is kept is never edited, so nonsense is refused before: another kind's choice, an unknown reason, a wrong
    session.
    """
    gate = gate_trials([make_clip()])[0]
    pair = preference_trials([(make_clip(a), make_clip(b)) for a, b in combinations(CANDIDATES[:2], 2)])[0]
    listening.check_answer(gate, answer(gate, Choice.FAIL, ("noise",)))
    listening.check_answer(pair, answer(pair, Choice.TIE))
    for trial, bad in (
        (gate, answer(gate, Choice.A)),
        (pair, answer(pair, Choice.PASS)),
        (gate, answer(gate, Choice.FAIL, ("ugly",))),
        (gate, answer(gate, Choice.FAIL, ("other",))),  # without a note it says nothing
        (gate, answer(gate, Choice.FAIL, session_id="another")),
    ):
        with pytest.raises(BadInput):
            listening.check_answer(trial, bad)


def test_reasons_are_offered_for_gates_only() -> None:
    """A preference has no reason codes to choose among."""
    assert listening.view(gate_trials([make_clip()])[0], position=1, total=1).reasons == REASON_CODES
    pair = (make_clip(CANDIDATES[1]), make_clip(CANDIDATES[2]))
    assert listening.view(preference_trials([pair])[0], position=1, total=1).reasons == ()
    assert listening.choices(TrialKind.PREFERENCE) == (Choice.A, Choice.B, Choice.TIE)
