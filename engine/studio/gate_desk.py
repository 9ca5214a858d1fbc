"""Use cases about gates themselves: which there are, whether one can decide, a copy, a changed one as a new version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine import backends, gate_files, screeners
from engine.gate import record as gate_record
from engine.studio.leak_checking import LeakChecking
from engine.types import BadInput, Control, EngineError, Gate, Refused, Verdict
from engine.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class GateListed:
    """A gate that can be chosen. `fault` says why its file cannot be used; then there is no `gate`."""

    name: str
    gate: Gate | None
    sha256: str
    is_shipped: bool
    path: Path
    fault: str = ""


class GateDesk(LeakChecking):
    """What choosing and editing a gate needs. Shipped gates are never written to; a workspace has its own."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._gates_kept: dict[str, Gate] = {}  # by hash: a kept gate never changes

    def gates(self) -> list[GateListed]:
        """The gates that can be chosen, the default first."""
        found = []
        for file in gate_files.listing(self.workspace.gates):
            gate, fault = None, ""
            try:
                gate = gate_files.read(file.path, screeners=screeners.SCREENERS)
            except EngineError as error:
                fault = str(error)
            found.append(
                GateListed(
                    name=file.name,
                    gate=gate,
                    sha256=gate_record.sha256(gate) if gate else "",
                    is_shipped=file.is_shipped,
                    path=file.path,
                    fault=fault,
                )
            )
        return found

    def gate(self, name: str = "") -> Gate:
        """One gate as its file has it; without a name the default one. Raises NotFound, or BadInput for a bad file."""
        return gate_files.load(name or gate_files.DEFAULT, self.workspace.gates, screeners=screeners.SCREENERS)

    def check_gate(self, path: Path) -> Gate:
        """The gate in any file, if it can decide. Raises BadInput naming the field at fault, Refused for a version that
        is in use with other rules.
        """
        gate = gate_files.read(path, screeners=screeners.SCREENERS)
        gate_files.must_be_new(gate, tuple(self.store.gates().values()))
        return gate

    def save_gate(self, gate: Gate, *, by: str) -> Gate:
        """Keep a gate in the workspace, as a new version when its rules differ from the present ones; returns it. A
        control of another model is that of the weights that are here now, unless the gate names others.

        Raises BadInput for one that cannot decide, or without a name of who says so.
        """
        if not by.strip():
            raise BadInput("Write your name first: changed rules are an act of a named person.")
        where = f"The gate {gate.name!r}"
        asked = gate_record.from_record(gate_record.to_record(gate), where=where, screeners=screeners.SCREENERS)
        asked = replace(asked, control=_with_weights(asked.control))
        known = self._known_gates()
        present = next((g.gate for g in self.gates() if g.name == asked.name and g.gate), None)
        if present and replace(asked, version=present.version) == present:
            return present
        kept = replace(asked, version=gate_files.next_version(asked.name, known))
        path = gate_files.write(kept, self.workspace.gates)
        sha256 = self.store.keep_gate(kept, at=self._clock())
        told = {"gate": kept.name, "version": kept.version, "sha256": sha256, "path": str(path)}
        self.store.add_act("gate", by.strip(), told, at=self._clock())
        return kept

    def copy_gate(self, name: str, new_name: str, *, by: str) -> Gate:
        """A copy under another name, to be changed. Raises Refused when that name is taken."""
        if any(listed.name == new_name for listed in self.gates()):
            raise Refused(f"There is a gate named {new_name!r} already; choose another name.")
        return self.save_gate(replace(self.gate(name), name=new_name, version=1), by=by)

    def gate_of(self, verdict: Verdict) -> Gate:
        """The rules that a verdict was decided under, as they were on that day."""
        return self.gate_kept(verdict.gate_sha256)

    def gate_kept(self, sha256: str) -> Gate:
        """A version by its hash; an empty hash is of the time before rules were kept."""
        if sha256 and sha256 not in self._gates_kept:
            self._gates_kept |= self.store.gates()
        return self._gates_kept.get(sha256, gate_files.BEFORE_KEPT)

    def _gate_in_use(self, name: str) -> tuple[Gate, str]:
        """A gate that is about to be used, kept as it is now, and its hash. Raises Refused when another one was used
        under the same name and version.
        """
        gate = self.gate(name)
        gate_files.must_be_new(gate, tuple(self.store.gates().values()))
        return gate, self.store.keep_gate(gate, at=self._clock())

    def _known_gates(self) -> list[Gate]:
        listed = [found.gate for found in self.gates() if found.gate]
        return [*self.store.gates().values(), *listed]


def _with_weights(control: Control | None) -> Control | None:
    """A control by its weights too, where they are here."""
    if control is None or control.base_sha256:
        return control
    try:
        return replace(control, base_sha256=backends.info(control.backend).base_sha256)
    except EngineError:  # a gate may be written for another machine
        return control
