"""The benchmarks measure in turns, refuse to compare unequal work, and run as a whole on a tiny voice."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.adapters import _must_be_equal_work
from benchmarks.measure import Row, Table, in_turns
from engine.types import Refused, Speech, Stop
from tests import finch_factory


def speech(tokens: int) -> Speech:
    return Speech(samples=np.zeros(8, np.float32), sample_rate=8, tokens=tokens, stop=Stop.EOS, render_sec=0.0)


def test_work_is_done_in_turns_and_the_warm_up_does_not_count() -> None:
    """One of each a turn, so that a load that comes and goes hits what is compared alike."""
    done: list[str] = []
    took = in_turns({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, turns=2)
    assert done == ["a", "b"] * 3
    assert took.keys() == {"a", "b"}


def test_a_table_is_markdown_with_its_note() -> None:
    """What is kept in the results is readable as it is."""
    table = Table("Speed", [Row("this", "1 s", "2.0 x that", "<= 3")], "Mind the load.")
    assert table.markdown().splitlines() == [
        "## Speed",
        "",
        "| what | measured | ratio | aim |",
        "|---|--:|--:|---|",
        "| this | 1 s | 2.0 x that | <= 3 |",
        "",
        "Mind the load.",
    ]


def test_ways_that_say_different_things_are_not_compared() -> None:
    """A way of serving adapters that speaks fewer tokens would only look faster."""
    same = {"base": lambda: [speech(5)], "other": lambda: [speech(5)]}
    assert _must_be_equal_work(same)[0].tokens == 5
    with pytest.raises(Refused, match="'other' says other tokens"):
        _must_be_equal_work(same | {"other": lambda: [speech(4)]})


def test_an_unknown_benchmark_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error does not start minutes of measuring."""
    with pytest.raises(SystemExit):
        benchmarks.main(["adaptors"])
    assert "there is no benchmark 'adaptors'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_adapters_benchmark_runs_on_a_tiny_voice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every way that is compared still works, PEFT's own included, and the table lands in the results."""
    from benchmarks.voices import TEXTS

    base = finch_factory.write_weights(tmp_path / "weights", texts=TEXTS)
    asked = ["adapters", "--turns", "1", "--base-model", str(base), "--results", str(tmp_path / "results")]
    assert benchmarks.main(asked) == 0
    kept = (tmp_path / "results" / "adapters.md").read_text()
    assert kept in capsys.readouterr().out
    for words in ("16 adapters at 16 scales", "adapter_names", "hotswap_adapter", f"python {sys.version.split()[0]}"):
        assert words in kept
