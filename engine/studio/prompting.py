"""Use cases about what is spoken and after whom: listening scripts with their edited copies, and references."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine import backends, dataset, references, scripts, speaking_settings
from engine.references import KeptReference
from engine.scripts import DEFAULT, LineFault
from engine.studio.training import Training
from engine.types import BadInput, GenerationSettings, NotFound, Reference, Script, SpeakingSetting


class Prompting(Training):
    """Scripts and audio prompts of a workspace."""

    # ------------------------------------------------------------------------------------------------------- scripts
    def scripts(self) -> tuple[str, ...]:
        """The names of the listening scripts: shipped ones and those that were made from them here."""
        return scripts.names(scripts.SCRIPTS, self.workspace.scripts)

    def script(self, name: str = DEFAULT) -> Script:
        """A listening script: the fixed texts that every candidate speaks."""
        return scripts.load(name, scripts.SCRIPTS, self.workspace.scripts)

    def is_shipped(self, name: str) -> bool:
        """Whether a script is one of Earmark's own, which are never changed."""
        return name in scripts.names()

    def script_text(self, name: str) -> str:
        """A script as people edit it: `id | tier | text`, a line a row."""
        return scripts.to_text(self.script(name))

    def script_faults(self, text: str) -> tuple[LineFault, ...]:
        """What is wrong with an edited script, line by line; empty when it can be saved."""
        return scripts.faults(text)

    def save_script(self, name: str, text: str, *, language: str) -> Script:
        """Keep an edited script under a name that no shipped one has; clips of what it was before stay as they are."""
        return scripts.save(self.workspace.scripts, name, text, language=language)

    def script_languages(self) -> tuple[str, ...]:
        """The languages that a script can be in."""
        return scripts.LANGUAGES

    # ---------------------------------------------------------------------------------------------------- references
    def references(self) -> list[KeptReference]:
        """The audio prompts of this workspace, the latest first."""
        return references.listing(self.workspace.references)

    def reference(self, name: str) -> Reference:
        """One of them by its name or its hash. Raises NotFound."""
        return references.load(self.workspace.references, name).reference

    def keep_reference(self, path: Path, text: str, *, name: str = "") -> KeptReference:
        """Take a recording as an audio prompt, with its transcript; it is copied."""
        return references.keep(self.workspace.references, path, text, name=name, now=self._clock())

    def reference_of_row(self, dataset_id: str, row: str) -> KeptReference:
        """Take a row of a prepared dataset as an audio prompt: its audio and its text. Raises NotFound."""
        for utterance in dataset.utterances(self.dataset(dataset_id)):
            if utterance.id == row:
                return references.keep(
                    self.workspace.references,
                    utterance.audio_path,
                    utterance.text,
                    name=f"{dataset_id} {row}",
                    source=f"{dataset_id}/{row}",
                    now=self._clock(),
                )
        raise NotFound(f"There is no row {row!r} in {dataset_id}; choose one of its rows.")

    def dataset_rows(self, dataset_id: str) -> list[tuple[str, str]]:
        """The rows of a prepared dataset that can be audio prompts: id and text."""
        found = dataset.utterances(self.dataset(dataset_id))
        shortest, longest = references.MIN_SEC, references.MAX_SEC
        return [(each.id, each.text) for each in found if shortest <= each.duration_sec <= longest]

    def takes_references(self, backend: str) -> str:
        """Whether a voice speaks after an audio prompt: "none" (prompt-free), "optional" or "required"."""
        return backends.info(backend).reference

    def settings_offered(self, backend: str) -> tuple[SpeakingSetting, ...]:
        """What can be set about how a model speaks, with what it takes as usual."""
        return speaking_settings.offered(backends.info(backend))

    def settings_in_force(self, given: Mapping[str, float], backend: str) -> GenerationSettings:
        """How a model speaks when some settings are given. Raises BadInput for one that it has not or out of bounds."""
        info = backends.info(backend)
        speaking_settings.check_names(given, [info])
        return speaking_settings.in_force(given, info)

    def _taken(self, backend: str, reference: Reference | None) -> Reference | None:
        """The reference as the voice takes it. Raises BadInput for one that a prompt-free voice cannot follow."""
        kind = self.takes_references(backend)
        if kind == "none" and reference is not None:
            raise BadInput(f"{backend} is a prompt-free voice and follows no reference; leave it out.")
        if kind == "required" and reference is None:
            raise BadInput(f"{backend} speaks only after a reference: choose a recording of the voice with its words.")
        return reference
