"""The verbs about data as a program meets them: what stands on stdout, and what lies on the disk afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import dataset, durable
from engine.cli.main import main
from tests.recordings import make_manifest

CHECKS = set(
    "empty_text boilerplate tags text_too_long text_too_short no_speech sample_rate channels clipping noise silence "
    "duration duplicate overlap transcript_mismatch speaker unreadable missing encoding repeated_text unpronounceable "
    "little_speech".split()
)

pytestmark = pytest.mark.usefixtures("tones_are_speech")


def source(folder: Path) -> Path:
    return make_manifest(
        folder, 8, extra_rows=[{"audio": "gone.wav", "text": "hello there"}, {"id": "e", "audio": "wav/r001.wav"}, "{"]
    )


def test_an_audit_is_pure_json_with_the_documented_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Findings are no failure: exit code 0, nothing but one JSON object on stdout, progress on stderr."""
    assert main(["audit", str(source(tmp_path / "s")), "--backend", "finch", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert {"rows", "seconds", "findings", "bad_row_share"} <= set(told)
    assert told["rows"] == 11
    assert told["bad_row_share"] == pytest.approx(3 / 11)
    assert told["tainted_share"] == pytest.approx(1 - (1 - 3 / 11) ** 8)
    assert err
    for finding in told["findings"]:
        assert set(finding) == {"check", "severity", "row", "explanation", "repair"}
        assert finding["check"] in CHECKS
        assert finding["severity"] in ("error", "warning", "info")
    assert {("missing", "gone"), ("empty_text", "e"), ("unreadable", "line 11")} <= {
        (f["check"], f["row"]) for f in told["findings"]
    }


def test_an_audit_for_people_has_the_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table names row and mend; p and what it does to N rows a step stand below."""
    assert main(["audit", str(source(tmp_path / "s")), "--rows-a-step", "4"]) == 0
    told = capsys.readouterr().out
    assert "gone" in told
    assert "p = 27.3%" in told
    assert "N = 4" in told


def test_prepare_writes_into_the_folder_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a workspace, the same bytes each time, and a second time into the same folder is no error."""
    path = source(tmp_path / "s")
    flags = ["--seed", "3", "--trim", "--silence", "0.5", "--loudness", "-23", "--validation", "0.2", "--test", "0.1"]
    for place in ("one", "two", "two"):
        assert main(["prepare", str(path), "--backend", "finch", "--out", str(tmp_path / place), *flags, "--json"]) == 0
        made = json.loads(capsys.readouterr().out)
    assert durable.checksums(tmp_path / "one") == durable.checksums(tmp_path / "two")
    assert made["id"].startswith("s-")
    found = dataset.load(tmp_path / "one")
    assert (found.validation_count > 0, found.test_count > 0, found.unresolved) == (True, True, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "s", "two"]
    assert main(["prepare", str(path), "--out", str(tmp_path / "s")]) == 2


def test_prepare_without_out_goes_into_the_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer names the dataset for a training, with errors that were kept."""
    home = tmp_path / "home"
    assert main(["--home", str(home), "prepare", str(source(tmp_path / "s")), "--name", "ada", "--keep-errors"]) == 0
    told = capsys.readouterr().out
    assert "engine train --dataset ada-" in told
    assert "errors are still in it" in told
    [folder] = (home / "datasets").iterdir()
    assert dataset.load(folder).unresolved >= 1


def test_a_prepared_dataset_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that --out named needs no workspace; an unknown dataset is not found."""
    main(["prepare", str(source(tmp_path / "s")), "--out", str(tmp_path / "d")])
    words = ["export-data", str(tmp_path / "d"), "--format", "voxcpm", "--out", str(tmp_path / "rows.jsonl"), "--json"]
    capsys.readouterr()
    assert main(words) == 0
    assert Path(json.loads(capsys.readouterr().out)["path"]).is_file()
    assert main(["--home", str(tmp_path), "export-data", "nobody", "--format", "voxcpm", "--out", "x"]) == 3


@pytest.mark.parametrize("verb", ["audit", "prepare", "slice"])
def test_what_is_not_there_is_one_sentence(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that does not exist is bad input, named, with the mend."""
    out = ["--out", str(tmp_path / "o")] if verb != "audit" else []
    assert main([verb, str(tmp_path / "nothing"), *out]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "nothing does not exist" in told.err
    assert not (tmp_path / "o").exists()
