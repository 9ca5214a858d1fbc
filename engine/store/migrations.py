"""The schema of `evaluations.duckdb`, as named steps that are applied in order, each once.

Knows how tables came to be and nothing of what is asked of them. A step that has been released is never changed: a new
need is a new step at the end. `apply` runs each step in one transaction together with the record that it ran, so that
a crash between two steps leaves a database that the next start completes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from engine.types import BadInput


class Connection(Protocol):
    """What a step may use of a database connection."""

    def execute(self, query: str) -> Any: ...


def m0001_judgements(connection: Connection) -> None:
    """Clips, scores, sittings with their trials and answers, verdicts, promotions, acts and pins. Rows are only ever
    added.

    `seq` is the order of arrival: of several rows about one thing the one with the highest `seq` is in force.
    """
    connection.execute("CREATE SEQUENCE arrival")
    for table, columns in _FIRST_TABLES.items():
        connection.execute(f"CREATE TABLE {table} (seq BIGINT DEFAULT nextval('arrival'), {columns})")


_CANDIDATE = "candidate_id VARCHAR, backend VARCHAR, voice VARCHAR, checkpoint_id VARCHAR, lora_scale DOUBLE"

_FIRST_TABLES = {
    # Two checkpoints with the same weights share a clip's content key, so the key alone does not name a row.
    "clips": f"""id VARCHAR, {_CANDIDATE}, adapter_sha256 VARCHAR, script_sha256 VARCHAR, line_id VARCHAR, tier VARCHAR,
        text VARCHAR, seed BIGINT, path VARCHAR, sample_rate BIGINT, duration_sec DOUBLE, stop VARCHAR, chunks BIGINT,
        settings JSON, harness_version VARCHAR, render_sec DOUBLE, PRIMARY KEY (id, candidate_id)""",
    "scores": """clip_id VARCHAR, screener VARCHAR, version BIGINT, value DOUBLE, unit VARCHAR, passed BOOLEAN,
        explanation VARCHAR""",
    "sessions": """id VARCHAR PRIMARY KEY, kind VARCHAR, reviewer VARCHAR, seed BIGINT, gate VARCHAR, created_at DOUBLE,
        simulated BOOLEAN""",
    "session_closings": "session_id VARCHAR PRIMARY KEY, closed_at DOUBLE",
    "trials": """id VARCHAR PRIMARY KEY, session_id VARCHAR, position BIGINT, kind VARCHAR, line_id VARCHAR,
        text VARCHAR, tier VARCHAR, is_catch BOOLEAN, UNIQUE (session_id, position)""",
    "slots": """token VARCHAR PRIMARY KEY, trial_id VARCHAR, place BIGINT, label VARCHAR, clip_id VARCHAR,
        UNIQUE (trial_id, place)""",
    "responses": """trial_id VARCHAR PRIMARY KEY, session_id VARCHAR, choice VARCHAR, reasons JSON, note VARCHAR,
        plays JSON, answered_at DOUBLE""",
    "verdicts": f"""id VARCHAR PRIMARY KEY, {_CANDIDATE}, gate VARCHAR, gate_version BIGINT, outcome VARCHAR,
        findings JSON, decided_by VARCHAR, decided_at DOUBLE, simulated BOOLEAN""",
    "promotions": f"""id VARCHAR PRIMARY KEY, alias VARCHAR, {_CANDIDATE}, adapter_sha256 VARCHAR, base_sha256 VARCHAR,
        settings JSON, harness_version VARCHAR, gate VARCHAR, gate_version BIGINT, verdict_id VARCHAR,
        promoted_by VARCHAR, promoted_at DOUBLE, reason VARCHAR""",
    "acts": "kind VARCHAR, who VARCHAR, data JSON, done_at DOUBLE",
    "pins": "checkpoint_id VARCHAR, pinned BOOLEAN, who VARCHAR, done_at DOUBLE",
}


def m0002_where_a_promoted_voice_came_from(connection: Connection) -> None:
    """A promotion also names its audio prompt and the code that trained it."""
    connection.execute("ALTER TABLE promotions ADD COLUMN reference_sha256 VARCHAR DEFAULT ''")
    connection.execute("ALTER TABLE promotions ADD COLUMN trainer_version VARCHAR DEFAULT ''")


def m0003_what_a_clip_was_spoken_with(connection: Connection) -> None:
    """A clip also names its language, its audio prompt, and how many times it was drawn."""
    connection.execute("ALTER TABLE clips ADD COLUMN language VARCHAR DEFAULT 'en'")
    connection.execute("ALTER TABLE clips ADD COLUMN reference JSON DEFAULT NULL")
    connection.execute("ALTER TABLE clips ADD COLUMN attempts BIGINT DEFAULT 1")


def m0004_listening_tests(connection: Connection) -> None:
    """Tests with a plan, six kinds of trial, answers that can be taken back and given anew, invitations.

    A trial had one row of answer at most; now it has one an attempt.
    """
    for table, columns in _LISTENING_TABLES.items():
        connection.execute(f"CREATE TABLE {table} (seq BIGINT DEFAULT nextval('arrival'), {columns})")
    for table, added in _LISTENING_COLUMNS.items():
        for column in added:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    before = "seq, trial_id, session_id, choice, reasons, note, plays, answered_at"
    connection.execute("ALTER TABLE responses RENAME TO responses_before")
    connection.execute(f"CREATE TABLE responses (seq BIGINT DEFAULT nextval('arrival'), {_RESPONSES})")
    connection.execute(f"INSERT INTO responses ({before}) SELECT {before} FROM responses_before")
    connection.execute("DROP TABLE responses_before")


_LISTENING_TABLES = {
    "listening_tests": """id VARCHAR PRIMARY KEY, name VARCHAR, kind VARCHAR, created_by VARCHAR, created_at DOUBLE,
        plan JSON""",
    "test_closings": "test_id VARCHAR PRIMARY KEY, who VARCHAR, closed_at DOUBLE",
    "withdrawals": """trial_id VARCHAR, attempt BIGINT, session_id VARCHAR, withdrawn_at DOUBLE,
        PRIMARY KEY (trial_id, attempt)""",
    "invitations": """id VARCHAR PRIMARY KEY, reviewer VARCHAR, token_sha256 VARCHAR UNIQUE, created_by VARCHAR,
        created_at DOUBLE, expires_at DOUBLE""",
    "invitation_revocations": "invitation_id VARCHAR PRIMARY KEY, who VARCHAR, revoked_at DOUBLE",
}
_LISTENING_COLUMNS = {
    "sessions": (
        "test_id VARCHAR DEFAULT ''",
        "place BIGINT DEFAULT 0",
        "dry_run BOOLEAN DEFAULT false",
        "switching VARCHAR DEFAULT 'restart'",
    ),
    "trials": ("role VARCHAR DEFAULT ''", "repeats VARCHAR DEFAULT NULL", "control VARCHAR DEFAULT NULL"),
    "slots": ("treatment VARCHAR DEFAULT ''",),
}
_RESPONSES = """trial_id VARCHAR, session_id VARCHAR, choice VARCHAR, reasons JSON, note VARCHAR, plays JSON,
    answered_at DOUBLE, attempt BIGINT DEFAULT 1, rating DOUBLE, ratings JSON DEFAULT '{}', events JSON DEFAULT '[]',
    volume DOUBLE, presented JSON DEFAULT '{}', shown_at DOUBLE, PRIMARY KEY (trial_id, attempt)"""


_GATE_TABLES = {
    "gates": "sha256 VARCHAR PRIMARY KEY, name VARCHAR, version BIGINT, record JSON, kept_at DOUBLE",
    "flag_answers": """session_id VARCHAR, trial_id VARCHAR, clip_id VARCHAR, screener VARCHAR, version BIGINT,
        reason VARCHAR, words JSON, choice VARCHAR, answered_at DOUBLE""",
}


def m0005_the_rules_of_their_day(connection: Connection) -> None:
    """Gates are kept as they were; verdicts and sittings name the rules that they were under, and reviewers answer to
    what screeners flag.
    """
    for table, columns in _GATE_TABLES.items():
        connection.execute(f"CREATE TABLE {table} (seq BIGINT DEFAULT nextval('arrival'), {columns})")
    connection.execute("ALTER TABLE verdicts ADD COLUMN gate_sha256 VARCHAR DEFAULT ''")
    connection.execute("ALTER TABLE sessions ADD COLUMN gate_sha256 VARCHAR DEFAULT ''")
    connection.execute("ALTER TABLE scores ADD COLUMN reasons JSON DEFAULT '{}'")


TABLES = (*_FIRST_TABLES, *_LISTENING_TABLES, *_GATE_TABLES)
Migration = Callable[[Connection], None]
MIGRATIONS: tuple[Migration, ...] = (
    m0001_judgements,
    m0002_where_a_promoted_voice_came_from,
    m0003_what_a_clip_was_spoken_with,
    m0004_listening_tests,
    m0005_the_rules_of_their_day,
)


def apply(connection: Connection, *, now: float, where: str, migrations: Sequence[Migration] = MIGRATIONS) -> list[str]:
    """Bring a database up to date; returns the names of the steps that ran. `where` is what messages call the database.

    Raises BadInput when the database has steps that this version does not know: it was written by a newer one.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name VARCHAR PRIMARY KEY, applied_at DOUBLE)")
    done = {row[0] for row in connection.execute("SELECT name FROM migrations").fetchall()}
    if unknown := done - {step.__name__ for step in migrations}:
        raise BadInput(
            f"{where} was written by a newer Earmark (it has {', '.join(sorted(unknown))}); "
            "update Earmark, or open another workspace."
        )
    ran = []
    for step in migrations:
        if step.__name__ in done:
            continue
        _run(connection, step, now)
        ran.append(step.__name__)
    return ran


def _run(connection: Connection, step: Migration, now: float) -> None:
    connection.execute("BEGIN TRANSACTION")
    try:
        step(connection)
        connection.execute(f"INSERT INTO migrations VALUES ('{step.__name__}', {now!r})")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
