"""What a backend offers for voices that leave or enter in the form that upstream's own tools know.

Knows no backend and no bundle: `bundle` writes what it offers, `importing` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from engine.types import Adapter


class Exporter(Protocol):
    """What an exported voice of a backend carries beside its adapter."""

    def script(self) -> str:
        """A short program that speaks one line with plain upstream libraries and the bundle's own files."""
        ...

    def code_files(self) -> Mapping[str, Path]:
        """Files that the script needs, by their path below the bundle's `code/`."""
        ...

    def write_native(self, adapter: Adapter, lora_scale: float, folder: Path) -> bool:
        """Write the layout that upstream's tools expect; False when there is none."""
        ...


@runtime_checkable
class ExportsFull(Protocol):
    """An exporter whose script also speaks with full weights, in upstream's layout."""

    def write_full(self, adapter: Adapter, lora_scale: float, folder: Path) -> bool:
        """Write them, at the scale, as upstream's tools load a model; False where that cannot be done here."""
        ...


@runtime_checkable
class ReadsNative(Protocol):
    """An exporter that also reads what upstream's tools write."""

    def is_native(self, folder: Path) -> bool:
        """Whether a folder holds upstream's layout."""
        ...

    def read_native(self, source: Path, into: Path) -> tuple[str, ...]:
        """Write it to `into` as PEFT has it, a folder a part; returns the parts. Raises BadInput or Refused."""
        ...


@runtime_checkable
class KnowsForeignTrainers(Protocol):
    """A reader of what upstream's tools write that also reads what lies beside it, and knows what they do wrong."""

    def native_settings(self, source: Path) -> Mapping[str, float]:
        """Numbers about the target that belong to the adapter, as `voice_settings`."""
        ...

    def native_faults(self, source: Path) -> tuple[str, ...]:
        """What is known to be wrong with the training step that made it, each as the rest of a sentence."""
        ...
