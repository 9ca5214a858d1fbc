"""The tests' studio: what has been promoted, exported and brought in. Kept in memory; exports are small folders."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.environments import Environment, State
from engine.jobs import Jobs, Report
from engine.types import (
    BadInput,
    BaseModel,
    Bundle,
    Candidate,
    Checkpoint,
    GenerationSettings,
    NotFound,
    Outcome,
    Promotion,
    Refused,
    Verdict,
)
from engine.workspace import Workspace


class FakeVoices:
    """The Voices page's part of the fake studio."""

    workspace: Workspace
    clock: Callable[[], float]
    label: Callable[[Candidate], str]
    checkpoints: Callable[..., list[Checkpoint]]
    _verdicts: dict[Candidate, Verdict]
    _history: list[Promotion]
    _installed: frozenset[str] = frozenset()
    _jobs: Jobs

    def models(self) -> tuple[BaseModel, ...]:
        return (
            BaseModel(name="finch", title="Finch", parts=("lm", "decoder"), reference="none", mixes_rows=True),
            BaseModel(name="qwen3_tts", title="Qwen3-TTS", variable="EARMARK_QWEN3_TTS", lacks="No weights are named."),
        )

    def environments(self) -> list[Environment]:
        state = State.READY if "qwen3_tts" in self._installed else State.MISSING
        return [Environment(backend="qwen3_tts", state=state, python=None, path=None, packages={}, bytes=0)]

    def install_environment(self, backend: str) -> str:
        def work(report: Report) -> None:
            report(1, 0, "Installing wheels")
            self._installed = self._installed | {backend}

        return self._jobs.start(f"install {backend}", work)

    def remove_environment(self, backend: str) -> None:
        if backend not in self._installed:
            raise NotFound(f"There is no environment of {backend}; install it first.")
        self._installed = self._installed - {backend}

    def check_voice(self, backend: str, text: str, voice: str = "") -> float:
        return 1.0 if text else 0.5

    def promote(
        self,
        candidate: Candidate,
        *,
        alias: str,
        by: str,
        reason: str = "",
        settings: Any = None,
        gate: str = "",
        reference: Any = None,
    ) -> Promotion:
        verdict = self._verdicts.get(candidate)
        if verdict is None or verdict.outcome is not Outcome.PASS:
            raise Refused(
                f"{self.label(candidate)} has no passing verdict; only what passed every tier can be promoted."
            )
        made = Promotion(
            id=uuid.uuid4().hex[:8],
            alias=alias,
            candidate=candidate,
            adapter_sha256="a" * 64,
            base_sha256="b" * 64,
            settings=GenerationSettings(),
            harness_version="1",
            gate="launch",
            gate_version=1,
            verdict_id=verdict.id,
            promoted_by=by,
            promoted_at=self.clock(),
            reason=reason,
        )
        self._history.append(made)
        return made

    def promotions(self) -> list[Promotion]:
        return list({p.alias: p for p in self._history}.values())

    def promotion_history(self, alias: str) -> list[Promotion]:
        return [p for p in self._history if p.alias == alias][::-1]

    def previous_holder(self, alias: str) -> Promotion | None:
        own = self.promotion_history(alias)
        return next((p for p in own if p.candidate != own[0].candidate), None)

    def roll_back(self, alias: str, *, by: str, reason: str) -> Promotion:
        before = self.previous_holder(alias)
        if before is None:
            raise NotFound(f"{alias} never pointed at anything else; there is nothing to go back to.")
        return self.promote(before.candidate, alias=alias, by=by, reason=reason)

    def speak_lines(self, alias: str, lines: Sequence[str], *, seed: int = 42) -> bytes:
        if not any(line.strip() for line in lines):
            raise BadInput("Write at least one line to be spoken, one a row.")
        return b"PK\x05\x06" + b"\x00" * 18

    def import_adapter(self, source: Path, *, backend: str = "finch", voice: str = "", name: str = "") -> Checkpoint:
        if not source.exists():
            raise NotFound(f"{source} does not exist; give the folder or the archive of an adapter.")
        return self.checkpoints()[0]

    def export(self, alias: str, *, forms: Sequence[str] = (), consent: str = "", licence: str = "") -> Bundle:
        folder = self.workspace.exports / "-".join((alias.replace("/", "-"), *forms))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text(f"A voice. {consent}\n", encoding="utf-8")
        return self.verify(folder)

    def export_zip(self, alias: str) -> Path:
        folder = self.export(alias).path
        return Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name))

    def verify(self, path: Path) -> Bundle:
        if not path.is_dir():
            raise NotFound(f"There is no export at {path}.")
        files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(path.iterdir())}
        return Bundle(path=path, sha256="c" * 64, files=files, verified=True, notes=("Spoken through plain PEFT.",))
