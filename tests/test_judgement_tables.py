"""CSV files that people bring: what is read, and how a row that cannot be used is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.judgement_tables import comparisons, ratings
from engine.statistics.agreement import MeasurementLevel, alpha
from engine.statistics.comparison import Comparison
from engine.types import BadInput, Choice, NotFound

NOMINAL, INTERVAL, RATIO = MeasurementLevel.NOMINAL, MeasurementLevel.INTERVAL, MeasurementLevel.RATIO


@pytest.fixture(name="table")
def _table(tmp_path: Path) -> Path:
    return tmp_path / "answers.csv"


def test_comparisons_are_read(table: Path) -> None:
    """Columns by name in any order, spaces, capitals, a byte order mark, blank lines and other columns do no harm."""
    table.write_text("\ufeffrater, Outcome ,b,a,note\nx,A,two, one,\n\ny, tie ,one,two,hm\n", encoding="utf-8")
    assert comparisons(table) == [
        Comparison("one", "two", Choice.A, rater="x"),
        Comparison("two", "one", Choice.TIE, rater="y"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("a,b,outcome\n", "header and no rows"),
        ("a,b\nx,y\n", "no column outcome"),
        ("a,a,b,outcome\nx,x,y,a\n", "column a is there twice"),
        ("a,b,outcome\nx,y,a\nx,y,first\n", "row 3, column outcome: 'first' is none of a, b, tie"),
        ("a,b,outcome\nx,y\n", "row 2, column outcome: empty"),
        ("a,b,outcome\n,y,a\n", "row 2, column a: empty; write a name"),
        ("a,b,outcome\nx,x,a\n", "row 2, column b: 'x' is compared with itself"),
        ("a,b,outcome,rater\nx,y,a,r\nx,y,b,\n", "judgment 2, column rater: empty"),
        ('a,b,outcome\n"x,y,a\n', "mend the quotes"),
        ("a,b,outcome\n" + "x,y,?\n" * 9, "and 4 more rows"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(table: Path, text: str, told: str) -> None:
    """File, row, column and the mend; nothing is left out silently."""
    table.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=told.replace("?", r"\?")) as raised:
        comparisons(table)
    assert str(table) in str(raised.value)


def test_what_is_no_text_or_no_file(table: Path) -> None:
    """A spreadsheet saved as it is, or a name that is wrong."""
    table.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(BadInput, match="not UTF-8"):
        comparisons(table)
    with pytest.raises(NotFound, match="no file"):
        ratings(table.with_name("other.csv"), NOMINAL)


KRIPPENDORFF = ",,,,,3,4,1,2,1,1,3,3,,3\n1,,2,1,3,3,4,3,,,,,,,\n,,2,1,3,4,4,,2,1,1,3,3,,4\n"


@pytest.mark.parametrize("missing", ["", "*", "NA"])
@pytest.mark.parametrize("edges", ["none", "items", "raters", "both"])
@pytest.mark.parametrize("level", list(MeasurementLevel))
def test_a_matrix_with_and_without_names(table: Path, missing: str, edges: str, level: MeasurementLevel) -> None:
    """Names of items and raters are recognised; the ratings are the same, at each level."""
    rows = [[cell or missing for cell in line.split(",")] for line in KRIPPENDORFF.splitlines()]
    if edges in ("items", "both"):
        rows = [[f"item {n}" for n in range(15)], *rows]
    if edges in ("raters", "both"):
        rows = [[name, *row] for name, row in zip(("rater", "ann", "ben", "cas")[-len(rows) :], rows, strict=True)]
    table.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    found = ratings(table, level)
    assert (len(found.raters), len(found.items)) == (3, 15)
    published = {"nominal": 0.691358, "ordinal": 0.806721, "interval": 0.810845, "ratio": 0.808944}
    assert alpha(found.units(), level) == pytest.approx(published[level], abs=1e-6)


def test_words_as_ratings(table: Path) -> None:
    """At the nominal level answers may be words, and are not taken for names."""
    table.write_text("pass,fail,pass\npass,fail,fail\n", encoding="utf-8")
    assert ratings(table, NOMINAL).units() == [["pass", "pass"], ["fail", "fail"], ["pass", "fail"]]
    table.write_text("clip,one,two,three\nann,pass,fail,pass\nben,pass,fail,fail\n", encoding="utf-8")
    found = ratings(table, NOMINAL)
    assert (found.raters, found.items) == (("ann", "ben"), ("one", "two", "three"))


@pytest.mark.parametrize(
    ("text", "level", "told"),
    [
        ("1,2\n3\n", INTERVAL, "row 2 has 1 cells where row 1 has 2"),
        ("1,2\n3,good\n", INTERVAL, "row 2, column 2: 'good' is no number"),
        ("1,2\n3,inf\n", INTERVAL, "row 2, column 2: 'inf' is no number"),
        ("1,2\n3,-1\n", RATIO, "row 2, column 2: -1 is negative"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named(table: Path, text: str, level: MeasurementLevel, told: str) -> None:
    """Row, column and the mend."""
    table.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=told):
        ratings(table, level)
