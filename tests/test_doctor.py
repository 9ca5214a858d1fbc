"""The doctor finds what is missing and says what to do; a sound environment has nothing to mend."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from engine import disk, doctor, locks
from engine.workspace import Workspace


def weights(folder: Path, content: bytes = b"tensors") -> Path:
    """A folder of weights with one net and the config that states its hash."""
    folder.mkdir()
    (folder / "decoder.safetensors").write_bytes(content)
    (folder / "config.json").write_text(json.dumps({"sha256": {"decoder": sha256(b"tensors").hexdigest()}}))
    return folder


def test_every_check_has_a_name_and_a_mend_when_it_fails(tmp_path: Path) -> None:
    """The report covers the whole environment, and whatever failed says what to do."""
    checks = doctor.examine(tmp_path / "home", weights(tmp_path / "weights"))
    named = [check.name for check in checks]
    wanted = {"python", "torch pair", "device", "disk", "browser", "text front end", "weights", "voices", "workspace"}
    assert wanted <= set(named)
    assert len(named) == len(set(named))
    assert all(check.mend for check in checks if check.ok is False)
    assert next(check for check in checks if check.name == "torch pair").ok is True
    assert not (tmp_path / "home").exists(), "looking makes nothing"


def test_an_interrupted_environment_of_a_voice_is_a_finding(tmp_path: Path) -> None:
    """What was begun must be whole; a voice that nobody installed is a fact."""
    assert doctor.voices(tmp_path).ok is None
    (tmp_path / "voices" / "qwen3_tts").mkdir(parents=True)
    check = doctor.voices(tmp_path)
    assert (check.ok, "voices install qwen3_tts" in check.mend) == (False, True)


@pytest.mark.parametrize(
    ("torch", "torchaudio", "ok"),
    [("2.11.0", "2.10.0", False), (None, "2.11.0", False), ("2.11.0", None, False), ("2.11.0+cpu", "2.11.0", True)],
)
def test_torch_and_torchaudio_are_a_pair(torch: str | None, torchaudio: str | None, ok: bool) -> None:
    """Another version of either breaks the import of torchaudio, so the doctor says it before it happens."""
    check = doctor.torch_pair(torch, torchaudio)
    assert check.ok is ok
    assert bool(check.mend) is not ok


def test_an_old_python_and_missing_libraries_are_named() -> None:
    """The sentence names what is missing."""
    assert doctor.python((3, 9)).ok is False
    assert doctor.python((3, 12)).ok is True
    check = doctor.libraries(["numpy", "no-such-library"])
    assert check.ok is False
    assert "no-such-library" in check.found


def test_altered_and_missing_weights_are_found(tmp_path: Path) -> None:
    """Hashes are checked against the config, and an empty folder is told from an altered file."""
    assert doctor.weights_whole(weights(tmp_path / "good")).ok is True
    altered = doctor.weights_whole(weights(tmp_path / "altered", b"tensorz"))
    assert altered.ok is False
    assert "decoder.safetensors" in altered.found
    (tmp_path / "altered" / "decoder.safetensors").unlink()
    assert doctor.weights_whole(tmp_path / "altered").ok is False
    assert doctor.weights_whole(tmp_path / "nothing").ok is False


def test_a_small_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not enough room for a few runs is something to mend, with how much is missing."""
    monkeypatch.setattr(disk, "free_bytes", lambda _: 5 * 10**8)
    check = doctor.room(tmp_path / "not" / "yet")
    assert check.ok is False
    assert "1.5 GB" in check.mend


def test_who_holds_the_workspace_is_told(tmp_path: Path) -> None:
    """Unopened, held and free are told apart."""
    home = Workspace(tmp_path)
    assert "not opened yet" in doctor.workspace_lock(tmp_path).found
    with locks.hold(home.lock, what="the app"):
        check = doctor.workspace_lock(tmp_path)
        assert "the app" in check.found
        assert check.mend
    assert doctor.workspace_lock(tmp_path).ok is not False


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The doctor reports on broken environments, so nothing that they throw may stop it."""

    def broken() -> doctor.Check:
        raise OSError("libfoo.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "front_end", broken)
    found = {check.name: check for check in doctor.examine(tmp_path, tmp_path)}
    assert found["text front end"].ok is False
    assert "libfoo.so" in found["text front end"].found
