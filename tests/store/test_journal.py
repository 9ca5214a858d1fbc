"""The journal: what people judged outlives the database."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import signal
from pathlib import Path

import duckdb
import pytest

from engine.store import JOURNAL, Store
from engine.store.journal import Entry, JudgementJournal
from engine.types import BadInput, DiskFull
from tests.judgement_factory import make_candidate, make_promotion, make_verdict
from tests.test_store import answer, sit, writing


def entry(seq: int, table: str = "pins") -> Entry:
    return Entry(table=table, row={"seq": seq, "checkpoint_id": "run@000100", "pinned": True})


def everything(store: Store) -> list[object]:
    sessions = store.sessions()
    return [
        store.clips(),
        sessions,
        [store.trials(s.id) for s in sessions],
        [store.responses(s.id) for s in sessions],
        store.verdict_history(),
        store.promotion_history(),
        store.acts(),
        store.pinned(),
    ]


def fill(store: Store) -> None:
    for trial in sit(store)[:2]:
        store.add_response(answer(trial))
    store.add_verdict(make_verdict(make_candidate(0.5)))
    store.add_promotion(make_promotion(make_candidate(0.5)))
    store.add_act("trash", "ada", {"checkpoint": "run@000100"}, at=1.0)
    store.pin("run@000200", by="ada", at=2.0)


def test_a_lost_database_loses_no_verdict(tmp_path: Path) -> None:
    """Remove the database: the next start has every row again, in the order in which they came."""
    path = tmp_path / "evaluations.duckdb"
    with Store(path) as store:
        fill(store)
        before = everything(store)
    path.unlink()
    with Store(path) as store:
        assert store.restored > 0
        assert everything(store) == before
        store.unpin("run@000200", by="ada", at=3.0)  # what comes later counts later
        assert store.pinned() == frozenset()


def test_a_database_from_before_the_journal_gets_one(tmp_path: Path) -> None:
    """An older workspace is protected from its first start on."""
    path = tmp_path / "evaluations.duckdb"
    with Store(path) as store:
        fill(store)
        before = everything(store)
    (tmp_path / JOURNAL).unlink()
    Store(path).close()
    path.unlink()
    with Store(path) as store:
        assert everything(store) == before


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """Two that agree stay as they are, byte for byte."""
    path = tmp_path / "evaluations.duckdb"
    with Store(path) as store:
        fill(store)
    before = (tmp_path / JOURNAL).read_bytes()
    with Store(path) as store:
        assert store.restored == 0
    assert (tmp_path / JOURNAL).read_bytes() == before


def test_a_row_that_only_the_journal_has_is_brought_in(tmp_path: Path) -> None:
    """The process died between the journal's line and the database's commit: the answer was given, so it counts."""
    path = tmp_path / "evaluations.duckdb"
    with Store(path) as store:
        trial = sit(store)[0]
    with (tmp_path / JOURNAL).open("rb") as file:
        seqs = [row["seq"] for line in file for _, row in json.loads(line)["rows"]]
    row = {
        "seq": max(seqs) + 1,
        "trial_id": trial.id,
        "session_id": trial.session_id,
        "choice": "pass",
        "reasons": "[]",
        "note": "",
        "plays": "{}",
        "answered_at": 1.0,
    }
    JudgementJournal(tmp_path / JOURNAL).append([Entry(table="responses", row=row)])
    with Store(path) as store:
        assert [r.trial_id for r in store.responses(trial.session_id)] == [trial.id]
        store.pin("run@000200", by="ada", at=2.0)
    assert len(JudgementJournal(tmp_path / JOURNAL).read().entries) == len(seqs) + 2  # no number given out twice


def test_a_transaction_that_fails_is_void(tmp_path: Path) -> None:
    """What the database did not take is not in force in the journal either."""
    journal = JudgementJournal(tmp_path / JOURNAL)
    journal.append([entry(1)])
    with pytest.raises(duckdb.TransactionException), journal.committing([entry(2), entry(3)]):
        raise duckdb.TransactionException("conflict")
    assert list(journal.read().entries) == [1]


def test_a_torn_line_is_cut_off_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    """A kill while writing leaves half a line; everything before it counts, and what comes after is whole."""
    path = tmp_path / JOURNAL
    journal = JudgementJournal(path)
    for seq in (1, 2):
        journal.append([entry(seq)])
    path.write_bytes(path.read_bytes() + b"rubbish\n" + path.read_bytes().splitlines()[0][:20])
    journal = JudgementJournal(path)
    journal.append([entry(3)])
    assert list(journal.read().entries) == [1, 2, 3]
    assert journal.read().damaged == (3,)


def test_a_journal_of_another_database_is_refused(tmp_path: Path) -> None:
    """Two workspaces are not mixed: where the same number means another thing, nothing is written."""
    path = tmp_path / "evaluations.duckdb"
    with Store(path) as store:
        store.pin("run@000100", by="ada", at=1.0)
    (tmp_path / JOURNAL).write_text(json.dumps({"rows": [["acts", {"seq": 1, "kind": "x"}]]}) + "\n")
    with pytest.raises(BadInput, match="of another database"):
        Store(path)


def test_a_full_disk_keeps_both_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that cannot be written to the journal is not in the database, and the reviewer is told."""
    path = tmp_path / "evaluations.duckdb"
    with Store(path) as store:
        fill(store)
        before, lines = everything(store), (tmp_path / JOURNAL).read_bytes()

        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull):
            store.pin("run@000900", by="ada", at=9.0)
        monkeypatch.undo()
        assert everything(store) == before
        assert (tmp_path / JOURNAL).read_bytes() == lines


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_and_a_lost_database_lose_no_answer(tmp_path: Path, seed: int) -> None:
    """Kill the writer at any moment, then remove the database: every answer that was acknowledged is there."""
    path = tmp_path / "evaluations.duckdb"
    child = writing(path)
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(random.Random(seed).randint(5, 60))]
    child.send_signal(signal.SIGKILL)
    child.wait()
    rest = io.StringIO(child.stdout.read()).read().split()
    child.stdout.close()
    for leftover in tmp_path.glob("evaluations.duckdb*"):
        leftover.unlink()
    with Store(path) as store:
        found = {response.trial_id for response in store.responses("sitting")}
    assert found >= {*acknowledged, *rest}
