"""`rank`, `agreement` and `stop` as programs and people meet them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli.main import main


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(name="table")
def _table(tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    rows = ["a,b,outcome"]
    for a, b, won in (("A", "B", 2), ("B", "A", 3), ("A", "D", 1), ("D", "A", 4)):
        rows += [f"{a},{b},a"] * won
    rows += ["B,C,a"] * 5 + ["B,C,b"] * 3 + ["D,C,b"] * 1 + ["D,C,a"] * 3
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_rank_answers_with_the_promised_keys(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The worked example: logits with mean 0, errors, deviance; what was not asked for is null."""
    told = answered(capsys, "rank", str(table), "--model", "bt", "--regularise", "0")
    assert list(told["estimates"]) == ["A", "B", "C", "D"]
    assert list(told["estimates"].values()) == pytest.approx([-0.4467, 0.0424, -0.4158, 0.8199], abs=2e-4)
    assert told["reference"] == "centred"
    assert told["tie_parameter"] is told["order_effect"] is None
    assert told["deviance"] == told["residual_deviance"] > 0
    assert set(told["se"]) == set(told["estimates"])
    assert any("Too few" in warning for warning in told["warnings"])


def test_rank_against_a_reference_with_an_order_effect(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A named baseline is 0; the order effect has an error; davidson's deviance is of single answers."""
    words = ("rank", str(table), "--model", "davidson", "--order-effect", "--reference", "C")
    told = answered(capsys, *words)
    assert (told["estimates"]["C"], told["se"]["C"], told["reference"]) == (0.0, 0.0, "C")
    assert {"estimate", "se"} <= set(told["order_effect"])
    assert told["deviance"] == told["minus_two_log_likelihood"]
    assert told["tie_parameter"] == 0.0


def test_rank_for_people(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table by strength, with what it rests on and what is doubtful."""
    assert main(["rank", str(table)]) == 0
    out = capsys.readouterr().out
    assert out.index("D ") < out.index("B ") < out.index("C ") < out.index("A ")
    assert "22 judgments" in out
    assert "Note: Too few" in out


def test_a_shutout_is_finite_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """40 : 0, also when plain maximum likelihood was asked for."""
    path = tmp_path / "shutout.csv"
    path.write_text("a,b,outcome\n" + "A,B,a\n" * 40, encoding="utf-8")
    told = answered(capsys, "rank", str(path), "--model", "bt", "--regularise", "0")
    assert 1 < told["estimates"]["A"] < 10
    assert told["separated"] is True
    assert any("Separation" in warning for warning in told["warnings"])


def test_groups_that_never_met_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No numbers, exit code 2, and both groups in the sentence."""
    path = tmp_path / "apart.csv"
    path.write_text("a,b,outcome\nA,B,a\nB,A,a\nC,D,a\nD,C,a\n", encoding="utf-8")
    assert main(["rank", str(path), "--json"]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert "A, B and C, D were never compared" in out.err


def test_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number, or null with the reason."""
    path = tmp_path / "matrix.csv"
    path.write_text(",,,,,3,4,1,2,1,1,3,3,,3\n1,,2,1,3,3,4,3,,,,,,,\n,,2,1,3,4,4,,2,1,1,3,3,,4\n", encoding="utf-8")
    told = answered(capsys, "agreement", str(path), "--level", "interval")
    assert told["alpha"] == pytest.approx(0.810845, abs=1e-6)
    path.write_text("1,1\n1,1\n", encoding="utf-8")
    told = answered(capsys, "agreement", str(path))
    assert told["alpha"] is None
    assert "alike" in told["warnings"][0]
    assert main(["agreement", str(path)]) == 0
    assert "No alpha" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("method", "wins", "trials", "stop", "threshold"),
    [
        ("evalue", 14, 16, True, 20.0),
        ("evalue", 13, 16, False, 20.0),
        ("sprt", 9, 9, True, 2.944),
        ("sprt", 8, 8, False, 2.944),
        ("exact", 17, 24, True, 0.05),
        ("exact", 16, 24, False, 0.05),
    ],
)
def test_stop(
    method: str, wins: int, trials: int, stop: bool, threshold: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each method answers with the statistic, its threshold and a decision."""
    told = answered(capsys, "stop", "--wins", str(wins), "--trials", str(trials), "--method", method)
    assert told["stop"] is stop
    assert told["threshold"] == pytest.approx(threshold, abs=1e-3)
    assert told["decision"] == ("better" if stop else "go on")
    assert isinstance(told["statistic"], float)


def test_stop_with_another_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """--p1 is the SPRT's; impossible counts are refused."""
    assert answered(capsys, "stop", "--wins", "7", "--trials", "7", "--method", "sprt", "--p1", "0.8")["stop"] is True
    assert main(["stop", "--wins", "3", "--trials", "2"]) == 2
    assert "3 wins of 2 trials" in capsys.readouterr().err
