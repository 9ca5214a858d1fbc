"""Models by their name on the hub: found in the cache of its own library, pinned, and fetched when asked."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest

from engine import backends, dataset
from engine.backends import folders, hub, sizes
from engine.runs import making
from engine.types import BadInput, GenerationSettings, NotFound, RunConfig, SpeakRow
from tests import hub_factory, transformers_factory
from tests.hub_factory import COMMIT, LATER
from tests.run_factory import prepared

POCKET, CODEC = "somebody/pocket-tts", "somebody/pocket-tts-audio-tokenizer"


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose codec lies beside it."""
    return transformers_factory.write_pocket_tts(tmp_path_factory.mktemp("model") / "pocket-tts")


@pytest.fixture(name="cache")
def _cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that has the model and, in a repository of its own, its codec."""
    cache, model = tmp_path / "hub", shutil.copytree(folder, tmp_path / "model")
    shutil.move(model / "audio_tokenizer", tmp_path / "codec")
    hub_factory.add(cache, POCKET, model)
    hub_factory.add(cache, CODEC, tmp_path / "codec")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.delenv("EARMARK_POCKET_TTS", raising=False)
    return cache


@pytest.mark.usefixtures("cache")
def test_a_model_of_the_cache_is_the_same_base_as_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name it speaks as the folder does, to the bit, and an adapter of the one fits the other."""
    row = SpeakRow(text="Hello there.", voice="default", seed=3, settings=GenerationSettings(temperature=0.7))
    named, plain = (backends.load("pocket_tts", base) for base in (POCKET, str(folder)))
    assert named.base_sha256 == plain.base_sha256
    assert np.array_equal(named.speak([row])[0].samples, plain.speak([row])[0].samples)
    assert sizes.of("pocket_tts", POCKET) == sizes.of("pocket_tts", str(folder))
    monkeypatch.setenv("EARMARK_POCKET_TTS", POCKET)
    assert "pocket_tts" in backends.names()
    assert backends.info("pocket_tts").base_sha256 == plain.base_sha256


def test_a_run_is_written_down_with_the_commit(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run.json` names commit and base: when the hub's name means something newer, a resumed run has what it had."""
    monkeypatch.setenv("EARMARK_POCKET_TTS", POCKET)
    data = prepared(tmp_path, backend="pocket_tts", sample_rate=24_000)
    monkeypatch.setattr(dataset, "must_be_accepted", lambda *_, **__: None)
    config = RunConfig(backend="pocket_tts", dataset=data.id, parts=("lm",), target_modules=())
    run = making.create(tmp_path / "runs", config, now=1.0, dataset=data)
    told = json.loads((run.path / "run.json").read_text())
    assert told["config"]["base_model"] == run.config.base_model == f"{POCKET}@{COMMIT}"
    assert told["base_sha256"] == backends.info("pocket_tts").base_sha256
    later = shutil.copytree(hub.cached(POCKET).path, tmp_path / "later")
    config_file = later / "config.json"
    config_file.write_text(json.dumps(json.loads(config_file.read_text()) | {"max_position_embeddings": 300}))
    hub_factory.add(cache, POCKET, later, commit=LATER)
    assert backends.pinned("pocket_tts") == f"{POCKET}@{LATER}"
    assert backends.info("pocket_tts").base_sha256 != told["base_sha256"]
    assert backends.info("pocket_tts", run.config.base_model).base_sha256 == told["base_sha256"]
    folder = str(later)
    assert backends.pinned("pocket_tts", folder) == folder  # a folder stays what it was called


def test_a_tag_and_a_commit_are_revisions(cache: Path, folder: Path) -> None:
    """`@v1` is what that tag meant when it was fetched; a revision that was not is named with its mend."""
    hub_factory.add(cache, "somebody/tagged", folder, commit=LATER, revision="v1")
    assert hub.cached("somebody/tagged@v1").commit == hub.cached(f"somebody/tagged@{LATER}").commit == LATER
    with pytest.raises(NotFound, match=f"no model somebody/tagged in .*{hub.COMMAND} somebody/tagged"):
        hub.cached("somebody/tagged")


def test_what_is_not_in_the_cache_is_named_with_the_command(cache: Path, tmp_path: Path) -> None:
    """Nothing is downloaded by the way: an unknown name, a codec that was not fetched, weights that are missing."""
    with pytest.raises(NotFound, match=rf"`{hub.COMMAND} nobody/nothing`, or name a folder"):
        backends.info("pocket_tts", "nobody/nothing")
    with pytest.raises(NotFound, match="no such folder; correct the path"):
        backends.info("pocket_tts", str(tmp_path / "gone"))
    shutil.rmtree(cache / f"models--{CODEC.replace('/', '--')}")
    with pytest.raises(NotFound, match=rf"has no codec.*`{hub.COMMAND} {CODEC}`"):
        backends.info("pocket_tts", POCKET)
    (hub.cached(POCKET).path / "model.safetensors").unlink()
    with pytest.raises(NotFound, match=r"no (codec|model\.safetensors)"):
        backends.info("pocket_tts", POCKET)


def test_a_folder_goes_before_a_model_of_the_same_name(
    cache: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies here is meant before what lies in the cache."""
    monkeypatch.chdir(tmp_path)
    own = tmp_path / POCKET
    own.parent.mkdir()
    shutil.copytree(folder, own)
    assert folders.of("pocket_tts", "X", POCKET, {}).resolve() == own
    assert folders.pinned("X", POCKET, {}) == POCKET
    assert not hub.is_name("model")
    assert not hub.is_name("/a/b")
    assert not hub.is_name("a/b/c")


# ------------------------------------------------------------------------------------------------------------ fetching
class Hub(BaseHTTPRequestHandler):
    """As much of the hub as its library asks for when it downloads a repository, from folders of this machine."""

    repositories: dict[str, Path]
    asked: list[str]

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""

    def _answer(self, *, with_body: bool) -> None:
        words = self.path.partition("?")[0].strip("/").split("/")
        if words[0] == "api":
            self._describe("/".join(words[2:4]), words[4])
        else:
            self._file("/".join(words[:2]), "/".join(words[4:]), with_body=with_body)

    def _describe(self, repository: str, what: str) -> None:
        home = self.repositories.get(repository)
        if home is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        files = sorted(p for p in home.rglob("*") if p.is_file())
        listed = [{"type": "file", "path": p.relative_to(home).as_posix(), "size": p.stat().st_size,
                   "oid": _sha256(p)[:40]} for p in files]  # fmt: skip
        info = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": [], "private": False, "tags": []}
        self._send(200, json.dumps(listed if what == "tree" else info).encode(), {})

    def _file(self, repository: str, name: str, *, with_body: bool) -> None:
        path = self.repositories[repository] / name
        if with_body:
            self.asked.append(name)
        told = {"ETag": f'"{_sha256(path)[:40]}"', "X-Repo-Commit": COMMIT}
        self._send(200, path.read_bytes(), told, with_body=with_body)

    def _send(self, status: int, body: bytes, headers: dict[str, str], *, with_body: bool = True) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(name="served")
def _served(folder: Path, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A hub of this machine with the model, a pickle beside it, and its codec; yields its address and what was read."""
    model = shutil.copytree(folder, tmp_path / "served")
    shutil.move(model / "audio_tokenizer", tmp_path / "served-codec")
    (model / "pytorch_model.bin").write_bytes(b"a pickle")
    asked: list[str] = []
    told = {"repositories": {POCKET: model, CODEC: tmp_path / "served-codec"}, "asked": asked}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Local", (Hub,), told))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def fetch(name: str, endpoint: str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The verb, in a process of its own: the library reads its settings when it is imported."""
    told = {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "engine", "models", "--fetch", name, "--json"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **told, **environment}, check=False
    )


def test_a_model_is_fetched_when_asked_with_its_codec_and_without_pickles(
    served: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a server into the cache: what can use it is told, what is there is not read again, offline says so."""
    endpoint, asked = served
    done = fetch(POCKET, endpoint, tmp_path / "new")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["pinned"] == f"{POCKET}@{COMMIT}"
    assert told["variables"] == {"pocket_tts": "EARMARK_POCKET_TTS"}
    assert told["downloaded_bytes"] > 10_000
    assert asked.count("model.safetensors") == 2  # the model's and the codec's
    assert "pytorch_model.bin" not in asked
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "new"))
    assert backends.info("pocket_tts", told["pinned"]).sample_rate == 24_000
    asked.clear()
    again = fetch(POCKET, endpoint, tmp_path / "new")
    assert json.loads(again.stdout)["downloaded_bytes"] == 0
    assert not asked


def test_what_cannot_be_fetched_is_a_sentence(served: tuple[str, list[str]], tmp_path: Path) -> None:
    """A name that the hub does not have, no network, no name at all."""
    endpoint, _ = served
    unknown = fetch("nobody/nothing", endpoint, tmp_path / "new")
    assert unknown.returncode == NotFound.exit_code
    assert "The hub has no model nobody/nothing" in unknown.stderr
    offline = fetch(POCKET, endpoint, tmp_path / "new", HF_HUB_OFFLINE="1")
    assert offline.returncode == NotFound.exit_code
    assert "HF_HUB_OFFLINE is not set" in offline.stderr
    nameless = fetch("pocket-tts", endpoint, tmp_path / "new")
    assert nameless.returncode == BadInput.exit_code
    assert "owner/name" in nameless.stderr
