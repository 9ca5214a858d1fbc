"""Migrations: each step once, in order, together with the record that it ran, or not at all."""

from __future__ import annotations

import duckdb
import pytest

from engine.store import migrations
from engine.store.migrations import Connection


def one(connection: Connection) -> None:
    connection.execute("CREATE TABLE first (x BIGINT)")


def two(connection: Connection) -> None:
    connection.execute("CREATE TABLE second (x BIGINT)")
    connection.execute("INSERT INTO second VALUES (2)")


def broken(connection: Connection) -> None:
    connection.execute("CREATE TABLE half (x BIGINT)")
    raise KeyboardInterrupt


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:")


def tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def test_steps_run_once_and_in_order(connection: duckdb.DuckDBPyConnection) -> None:
    """A database gets the steps that it lacks, and only those."""
    assert migrations.apply(connection, now=1.0, where="it", migrations=(one,)) == ["one"]
    assert migrations.apply(connection, now=2.0, where="it", migrations=(one, two)) == ["two"]
    assert migrations.apply(connection, now=3.0, where="it", migrations=(one, two)) == []
    assert connection.execute("SELECT * FROM migrations ORDER BY applied_at").fetchall() == [("one", 1.0), ("two", 2.0)]


def test_an_interrupted_step_leaves_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    """What a step did and the record that it ran are one transaction; the next start completes it."""
    with pytest.raises(KeyboardInterrupt):
        migrations.apply(connection, now=1.0, where="it", migrations=(one, broken))
    assert tables(connection) == {"migrations", "first"}
    assert migrations.apply(connection, now=2.0, where="it", migrations=(one, two)) == ["two"]


def test_the_released_steps_are_pinned() -> None:
    """A released step is never renamed or removed: databases remember it by name."""
    assert [step.__name__ for step in migrations.MIGRATIONS] == [
        "m0001_judgements",
        "m0002_where_a_promoted_voice_came_from",
        "m0003_what_a_clip_was_spoken_with",
        "m0004_listening_tests",
        "m0005_the_rules_of_their_day",
    ]
