"""The store: round trips, append-only judgements, one process, many threads, and what survives a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import listening
from engine.store import MEMORY, Store, migrations, rows
from engine.store.database import Transaction
from engine.types import (
    BadInput,
    Busy,
    Candidate,
    Choice,
    Clip,
    Finding,
    GenerationSettings,
    NotFound,
    Outcome,
    Promotion,
    Reference,
    Refused,
    Response,
    Score,
    Session,
    Slot,
    Stop,
    Tier,
    Trial,
    TrialKind,
    TrialRole,
    Verdict,
)
from tests.judgement_factory import (
    BASE,
    make_candidate,
    make_clip,
    make_promotion,
    make_session,
    make_verdict,
    token_factory,
)

# Texts that people may send, with every kind of trouble except lone surrogates, which UTF-8 cannot say.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text("abcdefgh-0123456789", min_size=1, max_size=12)
numbers = st.floats(allow_nan=False)
counts = st.integers(0, 2**31)
candidates = st.builds(Candidate, backend=names, voice=names, checkpoint_id=st.none() | names, lora_scale=numbers)
settings = st.builds(
    GenerationSettings, temperature=st.floats(0, 9), top_k=counts, top_p=st.floats(0, 1), max_factor=st.floats(1, 9)
)
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: Path("/elsewhere", *parts))
references = st.builds(Reference, audio_path=paths, text=texts, sha256=names)
clips = st.builds(
    Clip,
    id=names,
    candidate=candidates,
    adapter_sha256=st.none() | names,
    script_sha256=names,
    line_id=texts,
    tier=st.sampled_from(Tier),
    text=texts,
    seed=counts,
    path=paths,
    sample_rate=counts,
    duration_sec=numbers,
    stop=st.sampled_from(Stop),
    chunks=counts,
    settings=settings,
    harness_version=names,
    render_sec=numbers,
    language=names,
    reference=st.none() | references,
    attempts=counts,
)
scores = st.builds(
    Score,
    clip_id=names,
    screener=names,
    version=counts,
    value=numbers,
    unit=texts,
    passed=st.none() | st.booleans(),
    explanation=texts,
)
findings = st.builds(
    Finding,
    tier=st.sampled_from(Tier),
    outcome=st.sampled_from(Outcome),
    passes=counts,
    fails=counts,
    explanation=texts,
)
verdicts = st.builds(
    Verdict,
    id=names,
    candidate=candidates,
    gate=names,
    gate_version=counts,
    outcome=st.sampled_from(Outcome),
    findings=st.lists(findings, max_size=3).map(tuple),
    decided_by=texts,
    decided_at=numbers,
    simulated=st.booleans(),
)
promotions = st.builds(
    Promotion,
    id=names,
    alias=texts,
    candidate=candidates,
    adapter_sha256=names,
    base_sha256=names,
    settings=settings,
    harness_version=names,
    gate=names,
    gate_version=counts,
    verdict_id=names,
    promoted_by=texts,
    promoted_at=numbers,
    reason=texts,
)
sessions = st.builds(
    Session,
    id=names,
    kind=st.sampled_from(TrialKind),
    reviewer=texts,
    seed=counts,
    gate=names,
    created_at=numbers,
    simulated=st.booleans(),
    closed_at=st.none(),
)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    st.lists,
    max_leaves=5,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    """One database for all examples of a property, since opening one is the slow part: records get fresh ids in it."""
    with Store(MEMORY) as opened:
        yield opened


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(MEMORY) as opened:
        yield opened


_ids = count()


def fresh() -> str:
    return f"id {next(_ids)}"


def sit(store: Store, clips_heard: list[Clip] | None = None, session_id: str = "sitting") -> list[Trial]:
    """Open a gate session over clips, as the studio does."""
    heard = clips_heard or [make_clip(line=f"s{number}") for number in range(3)]
    trials = listening.gate_trials(heard, session_id=session_id, seed=1, new_token=lambda: os.urandom(9).hex())
    store.add_session(make_session(session_id))
    store.add_trials(trials)
    return trials


def answer(trial: Trial, choice: Choice = Choice.PASS, **others: object) -> Response:
    values: dict[str, object] = {"reasons": (), "note": "", "plays": {"A": 1}, "answered_at": 5.0, **others}
    return Response(trial_id=trial.id, session_id=trial.session_id, choice=choice, **values)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------- round trips
@given(clips)
def test_a_clip_comes_back_as_it_was(shared: Store, clip: Clip) -> None:
    """Every field of a clip survives the database exactly."""
    clip = replace(clip, id=fresh())
    shared.add_clips([clip])
    assert shared.clip(clip.id) == clip == shared.clips([clip.candidate.id])[-1]


@given(scores)
def test_a_score_comes_back_as_it_was(shared: Store, score: Score) -> None:
    """Every field of a score survives the database exactly."""
    score = replace(score, clip_id=fresh())
    shared.add_scores([score])
    assert shared.scores([score.clip_id]) == {score.clip_id: [score]}


@given(verdicts, promotions, sessions)
def test_what_was_decided_comes_back_as_it_was(
    shared: Store, verdict: Verdict, promotion: Promotion, session: Session
) -> None:
    """Verdicts, promotions and sessions are read exactly as they were written."""
    verdict, promotion, session = (replace(record, id=fresh()) for record in (verdict, promotion, session))
    shared.add_verdict(verdict)
    shared.add_promotion(promotion)
    shared.add_session(session)
    assert verdict in shared.verdicts()
    assert shared.verdict_history(verdict.candidate.id)[-1] == verdict
    assert promotion in shared.promotions()
    assert shared.promotion(promotion.alias) == promotion == shared.promotion_history()[-1]
    assert shared.session(session.id) == session == shared.sessions()[0]


@given(texts, texts, st.sampled_from(Tier), texts, st.dictionaries(texts, counts, max_size=3))
def test_trials_and_answers_come_back_as_they_were(
    shared: Store, text: str, line_id: str, tier: Tier, note: str, plays: dict[str, int]
) -> None:
    """A trial with its sides in order, and its answer with note and plays, survive exactly."""
    sitting = fresh()
    trial = Trial(
        id=f"{sitting}-0",
        session_id=sitting,
        position=0,
        kind=TrialKind.PREFERENCE,
        line_id=line_id,
        text=text,
        tier=tier,
        slots=(
            Slot(label="A", token=f"z {sitting}", clip_id="c2"),
            Slot(label="B", token=f"a {sitting}", clip_id="c1"),
        ),
        role=TrialRole.REPEAT,
    )
    response = answer(trial, Choice.TIE, note=note, plays=plays, reasons=("noise", "accent drift"))
    shared.add_session(make_session(sitting, kind=TrialKind.PREFERENCE))
    shared.add_trials([trial])
    shared.add_response(response)
    assert shared.trials(sitting) == [trial] == [shared.trial(trial.id)]
    assert shared.responses(sitting) == [response]
    assert shared.slot(f"a {sitting}") == (trial, trial.slots[1])


@given(st.dictionaries(texts, jsons, max_size=3))
def test_acts_come_back_as_they_were(shared: Store, data: dict[str, object]) -> None:
    """The data of an act is any JSON."""
    kind = fresh()
    shared.add_act(kind, "Ada", data, at=3.0)
    (act,) = shared.acts(kind)
    assert (act.kind, act.who, act.data, act.at) == (kind, "Ada", data, 3.0)


def test_paths_move_with_the_workspace(tmp_path: Path) -> None:
    """A workspace that was renamed still finds its clips; a clip outside of it keeps its place."""
    (tmp_path / "old").mkdir()
    inside = replace(make_clip(), id="inside", path=tmp_path / "old" / "clips" / "x.flac")
    outside = replace(make_clip(), id="outside", path=tmp_path / "elsewhere.flac")
    prompt = Reference(audio_path=tmp_path / "old" / "references" / "r.flac", text="Hello.", sha256="r")
    inside = replace(inside, reference=prompt)
    with Store(tmp_path / "old" / "evaluations.duckdb") as store:
        store.add_clips([inside, outside])
        assert store.clip("inside") == inside
    (tmp_path / "old").rename(tmp_path / "new")
    with Store(tmp_path / "new" / "evaluations.duckdb") as store:
        moved = store.clip("inside")
        assert moved.path == tmp_path / "new" / "clips" / "x.flac"
        assert moved.reference == replace(prompt, audio_path=tmp_path / "new" / "references" / "r.flac")
        assert store.clip("outside") == outside


def test_clips_of_an_older_database_were_spoken_in_english_without_a_reference(tmp_path: Path) -> None:
    """A database from before clips told their language opens, and its clips are what they were."""
    path = tmp_path / "evaluations.duckdb"
    with duckdb.connect(str(path)) as connection:
        migrations.apply(connection, now=1.0, where="it", migrations=migrations.MIGRATIONS[:2])
        row = rows.from_clip(make_clip(), tmp_path)
        old = {name: value for name, value in row.items() if name not in ("language", "reference", "attempts")}
        Transaction(connection.cursor()).insert("clips", [old])
    with Store(path) as store:
        assert store.clips() == [make_clip()]


# ---------------------------------------------------------------------------------------------- clips, scores, the rest
def test_a_clip_is_kept_once(store: Store) -> None:
    """Rendering the same content again, as the cache does, adds nothing."""
    store.add_clips([make_clip(), make_clip()])
    store.add_clips([replace(make_clip(), render_sec=9.0)])
    assert store.clips() == [make_clip()]


def test_twins_keep_their_clips(store: Store) -> None:
    """Two checkpoints with the same weights share a content key, and each has its clip."""
    first, second = make_clip(make_candidate(run="a")), make_clip(make_candidate(run="b"))
    second = replace(second, id=first.id)
    store.add_clips([first, second])
    assert store.clips([second.candidate.id]) == [second]
    assert store.clip(first.id) == first


def test_nothing_asked_is_nothing_found(store: Store) -> None:
    """An empty list of ids is not 'all'."""
    store.add_clips([make_clip()])
    assert store.clips([]) == []
    assert store.scores([]) == {}


def test_a_screener_may_look_again(store: Store) -> None:
    """The latest answer of a screener is in force."""
    old = Score(clip_id="c", screener="rate", version=1, value=4.0, unit="1/s", passed=None, explanation="")
    store.add_scores([old])
    store.add_scores([replace(old, version=2, value=5.0), replace(old, screener="pitch")])
    assert {(score.screener, score.value) for score in store.scores(["c"])["c"]} == {("rate", 5.0), ("pitch", 4.0)}


@pytest.mark.parametrize("what", ["clip", "session", "trial"])
def test_what_does_not_exist_is_not_found(store: Store, what: str) -> None:
    """Asking for an unknown id is answered with its name."""
    with pytest.raises(NotFound, match="'nobody'"):
        getattr(store, what)("nobody")
    assert store.slot("nobody") is None
    assert store.promotion("nobody") is None


# ---------------------------------------------------------------------------------------------- answers are append-only
def test_a_sitting_goes_on_where_it_stopped(store: Store) -> None:
    """The next trial is the first without an answer, the same one until it is answered, then none."""
    trials = sit(store)
    for trial in trials:
        assert store.open_trials()[0] == trial == store.open_trials()[0]
        store.add_response(answer(trial))
    assert store.open_trials() == []
    assert [response.trial_id for response in store.responses("sitting")] == [trial.id for trial in trials]


def test_the_same_answer_twice_is_one_answer(store: Store) -> None:
    """A page that sends an answer again, later and with more plays, changes nothing; not even after the sitting was
    closed.
    """
    trial = sit(store)[0]
    store.add_response(answer(trial))
    store.close_session("sitting", at=8.0)
    store.add_response(answer(trial, plays={"A": 7}, answered_at=9.0))
    assert store.responses("sitting") == [answer(trial)]


@pytest.mark.parametrize("other", [{"choice": Choice.FAIL}, {"reasons": ("noise",)}, {"note": "or not"}])
def test_an_answer_is_never_changed(store: Store, other: dict[str, object]) -> None:
    """Another choice, reason or note to an answered trial is refused, and the first stays."""
    trial = sit(store)[0]
    store.add_response(answer(trial))
    with pytest.raises(Refused, match="another answer already"):
        store.add_response(answer(trial, **other))  # type: ignore[arg-type]
    assert store.responses("sitting") == [answer(trial)]


def test_a_closed_sitting_takes_no_answers(store: Store) -> None:
    """After closing, its trials are not open any more, and the first closing time stays."""
    trial = sit(store)[0]
    store.close_session("sitting", at=8.0)
    store.close_session("sitting", at=9.0)
    assert store.session("sitting").closed_at == 8.0
    assert store.open_trials() == []
    with pytest.raises(Refused, match="closed"):
        store.add_response(answer(trial))


def test_an_answer_must_make_sense(store: Store) -> None:
    """A preference for a gate trial never reaches the log."""
    trial = sit(store)[0]
    with pytest.raises(BadInput):
        store.add_response(answer(trial, Choice.TIE))
    assert store.responses("sitting") == []


def test_a_text_that_cannot_be_kept_is_refused(store: Store) -> None:
    """A lone surrogate, which a browser can send, is a sentence and not a crash."""
    trial = sit(store)[0]
    with pytest.raises(BadInput, match="cannot be kept"):
        store.add_response(answer(trial, note="\ud800"))
    store.add_response(answer(trial, note="fine"))


def test_open_trials_are_those_of_open_sittings(store: Store) -> None:
    """Retention asks what reviewers may still be listening to."""
    first, second = sit(store, session_id="one"), sit(store, session_id="two")
    store.add_response(answer(first[0]))
    store.close_session("two", at=1.0)
    assert store.open_trials() == first[1:]
    assert second


def test_a_taken_token_takes_none_of_a_sitting(store: Store) -> None:
    """Trials are kept all or none: a session never has half of its trials."""
    sit(store, session_id="one")
    taken = store.trials("one")[0].slots[0].token
    trials = listening.gate_trials(
        [make_clip(line="s8"), make_clip(line="s9")], session_id="two", seed=1, new_token=token_factory()
    )
    broken = [trials[0], replace(trials[1], slots=(replace(trials[1].slots[0], token=taken),))]
    with pytest.raises(Refused, match="already"):
        store.add_trials(broken)
    assert store.trials("two") == []


# ------------------------------------------------------------------------------------- verdicts, promotions, acts, pins
def test_a_verdict_is_superseded_and_not_edited(store: Store) -> None:
    """The latest verdict of a candidate under a gate is in force; the earlier ones stay in the history."""
    one, other = make_verdict(), make_verdict(make_candidate(0.2))
    later = replace(make_verdict(outcome=Outcome.PASS), gate_version=2)
    strict = make_verdict(gate="strict")
    for verdict in (one, other, later, strict):
        store.add_verdict(verdict)
    assert store.verdicts() == [other, later, strict]
    assert store.verdict_history() == [one, other, later, strict]
    with pytest.raises(Refused, match="already"):
        store.add_verdict(replace(one, outcome=Outcome.PASS))


def test_an_alias_points_at_the_latest_promotion(store: Store) -> None:
    """Promoting again moves the alias; the history keeps who it pointed at."""
    first, second = make_promotion(make_candidate(0.2), at=1.0), make_promotion(make_candidate(0.3), at=2.0)
    other = make_promotion(make_candidate(0.2), alias="staging/robin")
    for promotion in (first, other, second):
        store.add_promotion(promotion)
    assert store.promotions() == [second, other]
    assert store.promotion("production/robin") == second
    assert store.promotion_history() == [first, other, second]


def test_a_pin_holds_until_it_is_taken_out(store: Store) -> None:
    """Of pinning and unpinning the later counts."""
    store.pin("run@000100", by="Ada", at=1.0)
    store.pin("run@000200", by="Ada", at=1.0)
    store.unpin("run@000100", by="Bo", at=2.0)
    assert store.pinned() == frozenset({"run@000200"})
    store.pin("run@000100", by="Bo", at=3.0)
    assert store.pinned() == frozenset({"run@000100", "run@000200"})


def test_data_that_json_cannot_say_is_refused(store: Store) -> None:
    """Half a record is never written."""
    with pytest.raises(BadInput, match="cannot be kept"):
        store.add_act("export", "Ada", {"loss": float("nan")}, at=1.0)
    assert store.acts() == []


def test_no_statement_changes_or_removes_a_row() -> None:
    """Append-only is a property of the source: no UPDATE or DELETE in it."""
    files = [*Path("engine/store").glob("*.py")]
    assert len(files) > 4
    source = "".join(file.read_text() for file in files)
    assert "UPDATE " not in source
    assert "DELETE " not in source


# ------------------------------------------------------------------------------------------ processes, threads, crashes
WRITER = """
import sys, time
from engine import listening
from engine.store import Store
from tests.test_store import answer, sit
from tests.judgement_factory import make_clip
with Store(sys.argv[1]) as store:
    for trial in sit(store, [make_clip(line=f"s{n}") for n in range(200)]):
        store.add_response(answer(trial))
        print(trial.id, flush=True)
    time.sleep(60)
"""


def writing(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )


def test_another_process_is_told_who_holds_the_database(tmp_path: Path) -> None:
    """A second app on the same workspace is told which process to close; after a kill no answer is lost."""
    path = tmp_path / "evaluations.duckdb"
    child = writing(path)
    try:
        assert child.stdout is not None
        answered = [child.stdout.readline().strip() for _ in range(20)]
        with pytest.raises(Busy, match=rf"held by process {child.pid}"):
            Store(path)
    finally:
        child.kill()
        answered += [line.strip() for line in child.communicate()[0].splitlines()]
    with Store(path) as store:
        kept = [response.trial_id for response in store.responses("sitting")]
    assert kept[: len(answered)] == answered
    assert len(kept) - len(answered) in (0, 1)  # one may be committed and not yet told


def test_closing_releases_the_database(tmp_path: Path) -> None:
    """A closed store can be opened by another process at once; closing twice does nothing."""
    path = tmp_path / "evaluations.duckdb"
    store = Store(path)
    sit(store)
    store.close()
    store.close()
    child = writing(tmp_path / "evaluations.duckdb")
    child.kill()
    child.communicate()


def test_threads_write_and_read_side_by_side(store: Store) -> None:
    """Answers, verdicts and reads from many threads neither fail nor get lost."""
    trials = sit(store, [make_clip(line=f"s{number}") for number in range(60)])
    start = threading.Barrier(6)

    def work(worker: int) -> None:
        start.wait()
        for trial in trials[worker::6]:
            store.add_response(answer(trial))
            store.add_verdict(replace(make_verdict(), id=f"verdict {trial.id}"))
            store.clips()
            store.open_trials()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len(store.responses("sitting")) == 60
    assert len(store.verdict_history()) == 60
    assert len(store.verdicts()) == 1


def test_two_answers_at_once_are_one_answer_and_one_refusal(store: Store) -> None:
    """Two tabs that answer one trial differently at the same moment: one is kept, the other is told."""
    trials = sit(store, [make_clip(line=f"s{number}") for number in range(40)])
    start = threading.Barrier(2)

    def work(choice: Choice) -> int:
        refused = 0
        for trial in trials:
            start.wait()
            try:
                store.add_response(answer(trial, choice))
            except Refused:
                refused += 1
        return refused

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(work, (Choice.PASS, Choice.FAIL))) == 40
    assert len(store.responses("sitting")) == 40


def test_a_conflict_is_tried_once_more(store: Store) -> None:
    """A transaction that met another thread's runs again; one that fails twice is not hidden."""
    calls = []

    def work(transaction: Transaction) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise duckdb.TransactionException("conflict")
        return "done"

    assert store._write(work) == "done"
    with pytest.raises(duckdb.TransactionException):
        store._write(lambda transaction: (_ for _ in ()).throw(duckdb.TransactionException("conflict")))


# ----------------------------------------------------------------------------------------------------- what is not ours
def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Some other file under our name is named, and left alone."""
    path = tmp_path / "evaluations.duckdb"
    path.write_bytes(b"not a database" * 500)
    with pytest.raises(BadInput, match=r"evaluations\.duckdb cannot be opened"):
        Store(path)
    assert path.read_bytes() == b"not a database" * 500


def test_a_database_of_a_newer_earmark_is_refused(tmp_path: Path) -> None:
    """An older program does not write into what it does not understand, and names the step that it does not know."""
    path = tmp_path / "evaluations.duckdb"
    Store(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO migrations VALUES ('m9999_telepathy', 0)")
    for _ in range(2):  # refusing releases the file, so that it is refused again and not busy
        with pytest.raises(BadInput, match=r"newer Earmark .*m9999_telepathy"):
            Store(path)


def test_an_old_database_is_brought_up_to_date(tmp_path: Path) -> None:
    """Opening twice applies every step once, with the time it ran."""
    path = tmp_path / "evaluations.duckdb"
    Store(path, clock=lambda: 1.0).close()
    Store(path, clock=lambda: 2.0).close()
    with duckdb.connect(str(path)) as connection:
        ran = connection.execute("SELECT name, applied_at FROM migrations").fetchall()
    assert ran == [(step.__name__, 1.0) for step in migrations.MIGRATIONS]


def test_base_and_tuned_candidates_are_told_apart(store: Store) -> None:
    """The base model has no checkpoint: None comes back as None, not as a text."""
    store.add_clips([make_clip(BASE), make_clip(make_candidate())])
    assert [clip.candidate for clip in store.clips()] == [BASE, make_candidate()]
