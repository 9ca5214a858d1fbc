"""A kill between the click and the reply loses no answer and doubles none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from engine.store import Store
from tests.judgement_factory import make_clip
from tests.test_store import answer, sit

# A server as far as this matters: it answers through the sittings, and dies when an answer is in the store and its
# sender has not heard of it, or when it is not there yet.
SERVER = """
import os, signal, sys
from engine.sittings import Given, Sittings
from engine.store import Store
from engine.types import Choice

place, dies = sys.argv[1], sys.argv[2]
with Store(place) as store:
    if dies == "before the commit":
        real = store._journal.append
        def append(entries):
            real(entries)
            if any(entry.table == "responses" for entry in entries):
                os.kill(os.getpid(), signal.SIGKILL)
        store._journal.append = append
    lab = Sittings(store, clock=lambda: 5.0, new_token=lambda: "t")
    lab.sounds.presented = lambda trial: {}
    session = store.sessions()[0].id
    trial = lab.view(session)
    lab.answer(trial.trial_id, Given(choice=Choice.PASS, plays={"A": 1}), session_id=session)
    if dies == "before the reply":
        os.kill(os.getpid(), signal.SIGKILL)
    view = lab.view(session)
    print(trial.trial_id, view.trial_id if view else "-")
"""


def served(place: Path, dies: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SERVER, str(place), dies]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, timeout=60, check=False)


def test_a_kill_between_click_and_reply_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed before the database commits or before the reply: the journal has the answer, the next start has it once,
    and the browser that sends it again changes nothing.
    """
    for dies in ("before the commit", "before the reply"):
        place = tmp_path / dies.replace(" ", "_") / "evaluations.duckdb"
        place.parent.mkdir()
        with Store(place) as store:
            first, second = sit(store, [make_clip(line="s1"), make_clip(line="s2")])
        assert served(place, dies).returncode == -signal.SIGKILL
        with Store(place) as store:
            assert [r.trial_id for r in store.responses(first.session_id)] == [first.id]
            store.add_response(answer(first))  # the browser heard nothing and sends it again
            assert len(store.response_history(first.session_id)) == 1
            assert store.open_trials() == [second]
        lived = served(place, "never")
        assert lived.stdout.split() == [second.id, "-"], lived.stderr
        lines = [json.loads(line) for line in place.with_name("judgements.jsonl").read_text().splitlines()]
        kept = [row["trial_id"] for line in lines for table, row in line.get("rows", []) if table == "responses"]
        assert kept == [first.id, second.id]
