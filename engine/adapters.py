"""The host that speaks with many adapters over one loaded base model.

Knows how rows of different adapters and scales share a batch, and how full weights take turns with it. Does not know
any backend, and imports torch only when a host is given an adapter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.adapter_files import FULL
from engine.backends import offers
from engine.types import Adapter, NotFound, Refused, SpeakRow, Speech

if TYPE_CHECKING:
    from engine.backends.speech_model import SpeechModel
    from engine.full_weights import FullWeights, Overlay
    from engine.peft_files import LoraPair
    from engine.row_lora import RowLora


class AdapterHost:
    """One base model in memory, adapters beside it by content hash, and batches whose rows differ in adapter and scale.

    Every Linear that a loaded adapter targets carries one `RowLora`; removing the last adapter that targets it takes
    it off, so the model is then what it was. LoRA never writes to the base's weights: no merge, nothing to undo.

    A full checkpoint cannot share a batch: its weights are laid over the base's while its rows are spoken, from a copy
    of what it changes, and the base's own come back bit for bit. `speak` groups rows so that the caller need not know.

    One re-entrant lock protects two things that belong together: the set of loaded adapters with the `RowLora`s on the
    model, and which rows these currently serve. `add`, `remove`, `speak` and `using` hold it, so a second thread waits
    for a whole batch. The lock does not protect the model against calls that do not come through the host.
    """

    def __init__(self, model: SpeechModel) -> None:
        self.model = model
        self._lock = threading.RLock()
        self._adapters: dict[str, dict[_Site, LoraPair]] = {}
        self._loras: dict[_Site, RowLora] = {}
        self._full: dict[str, dict[str, FullWeights]] = {}  # by hash and part
        self._overlays: dict[str, Overlay] = {}  # by part
        self._elsewhere: set[str] = set()  # by a model that keeps its adapters itself
        self._laid: _Voice | None = None
        self._rows: Sequence[SpeakRow] = ()

    @property
    def loaded(self) -> tuple[str, ...]:
        """Content hashes of the adapters in memory, in the order they came."""
        with self._lock:
            return (*self._adapters, *self._full, *sorted(self._elsewhere))

    def add(self, adapter: Adapter) -> str:
        """Read an adapter's weights into memory, once, and return its hash.

        Raises Refused for an adapter of another base or of a kind that cannot be hosted, BadInput for damaged files.
        """
        model = self.model
        if (adapter.backend, adapter.base_sha256) != (model.name, model.base_sha256):
            raise Refused(
                f"The adapter in {adapter.path} was trained on {adapter.backend} {adapter.base_sha256[:12]} and the "
                f"loaded base is {model.name} {model.base_sha256[:12]}: load its own base, or train again on this one."
            )
        unknown = sorted(set(adapter.parts) - set(model.capabilities.parts))
        if unknown:
            raise Refused(
                f"The adapter in {adapter.path} has a part {unknown[0]!r} that {model.name} does not have "
                f"(it has {', '.join(model.capabilities.parts)}): use an adapter of this model."
            )
        with self._lock:
            if adapter.sha256 in self.loaded:
                return adapter.sha256
            if isinstance(model, offers.HostsAdapters):
                model.add_adapter(adapter)
                self._elsewhere.add(adapter.sha256)
            else:
                (self._add_full if adapter.kind == FULL else self._add_lora)(adapter)
        return adapter.sha256

    def _add_lora(self, adapter: Adapter) -> None:
        from engine import peft_files, row_lora

        pairs: dict[_Site, LoraPair] = {}
        for part in adapter.parts:
            read = peft_files.read_part(adapter.path / part, self.model.part(part))
            pairs.update({(part, name): pair for name, pair in read.items()})
        for site in pairs.keys() - self._loras.keys():
            self._loras[site] = row_lora.RowLora(self.model.part(site[0]).get_submodule(site[1]))
        self._adapters[adapter.sha256] = pairs

    def _add_full(self, adapter: Adapter) -> None:
        from engine import full_weights

        with self._over(None):  # what is compared with is the base
            found = {p: full_weights.difference(adapter.path / p, self.model.part(p)) for p in adapter.parts}
        for part in found.keys() - self._overlays.keys():
            self._overlays[part] = full_weights.Overlay(self.model.part(part))
        self._full[adapter.sha256] = found

    def remove(self, sha256: str) -> None:
        """Forget an adapter. The Linears that no other adapter targets are bare again. Raises NotFound."""
        with self._lock:
            if sha256 not in self.loaded:
                raise NotFound(f"No adapter {sha256[:12]} is loaded; loaded are: {self._names()}.")
            if isinstance(self.model, offers.HostsAdapters):
                self._elsewhere.discard(sha256)
                self.model.remove_adapter(sha256)
            self._adapters.pop(sha256, None)
            wanted: set[_Site] = set().union(*self._adapters.values())
            for site in self._loras.keys() - wanted:
                self._loras.pop(site).detach()
            self._full.pop(sha256, None)
            for part, overlay in self._overlays.items():
                overlay.forget({name for one in self._full.values() if part in one for name in one[part].changed})

    def speak(self, rows: Sequence[SpeakRow]) -> list[Speech]:
        """Render the rows, in as few batches as the backend and the adapters allow: one for the base and all LoRA
        adapters at all scales where the backend mixes rows, one for each full checkpoint and scale. Raises NotFound
        for an adapter that was not added.
        """
        with self._lock:
            spoken: dict[int, Speech] = {}
            for voice, places in self._batches(rows):
                some = [rows[place] for place in places]
                with self._over(voice):
                    spoken.update(zip(places, self.model.speak(some, mixer=self), strict=True))
            return [spoken[place] for place in range(len(rows))]

    def _batches(self, rows: Sequence[SpeakRow]) -> Iterator[tuple[_Voice | None, list[int]]]:
        if not self.model.capabilities.mixes_rows:
            yield from ((self._voice(row), [place]) for place, row in enumerate(rows))
            return
        groups: dict[_Voice | None, list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(self._voice(row), []).append(place)
        yield from groups.items()

    @contextmanager
    def using(self, rows: Sequence[SpeakRow]) -> Iterator[None]:
        """Within the block, row i of every adapted Linear's input (its leading dimension) uses `rows[i]`'s adapter at
        its scale.

        May be nested: a model whose batch shrinks opens another block with the rows that are left. A model that
        repeats its rows (for guidance) passes them as often as it repeats them. Raises Refused for rows of which one
        is a full checkpoint's and another is not: `speak` never opens such a block.
        """
        with self._lock:
            voices = {self._voice(row) for row in rows} or {self._laid}
            if len(voices) > 1:
                raise Refused("Rows of a full checkpoint cannot share a batch with others; speak them one by one.")
            before = self._rows
            with self._over(voices.pop()):
                self._serve(rows)
                try:
                    yield
                finally:
                    self._serve(before)

    @contextmanager
    def _over(self, voice: _Voice | None) -> Iterator[None]:
        """Within the block the weights are a full checkpoint's at a scale, or the base's for None."""
        before = self._laid
        self._lay(voice)
        try:
            yield
        finally:
            self._lay(before)

    def _lay(self, voice: _Voice | None) -> None:
        if voice == self._laid:
            return
        weights = self._full[voice[0]] if voice else {}
        self._laid = None  # until all parts have it: should one not fit into memory, the next block begins anew
        try:
            for part, overlay in self._overlays.items():
                if voice and part in weights:
                    overlay.lay(weights[part], voice[1])
                else:
                    overlay.lift()
        except BaseException:
            for overlay in self._overlays.values():
                overlay.lift()
            raise
        self._laid = voice

    def _voice(self, row: SpeakRow) -> _Voice | None:
        """The full checkpoint that a row is spoken with; None for the base and for LoRA."""
        if row.adapter_sha256 in self._full and row.lora_scale != 0.0:
            return str(row.adapter_sha256), row.lora_scale
        return None

    def _serve(self, rows: Sequence[SpeakRow]) -> None:
        for row in rows:
            if row.adapter_sha256 is not None and row.adapter_sha256 not in self.loaded:
                raise NotFound(
                    f"No adapter {row.adapter_sha256[:12]} is loaded; add it first (loaded: {self._names()})."
                )
        self._rows = rows
        for site, lora in self._loras.items():
            lora.serve([self._pair(row, site) for row in rows], [row.lora_scale for row in rows])

    def _pair(self, row: SpeakRow, site: _Site) -> LoraPair | None:
        if row.adapter_sha256 is None or row.lora_scale == 0.0:
            return None
        return self._adapters.get(row.adapter_sha256, {}).get(site)

    def _names(self) -> str:
        return ", ".join(sha256[:12] for sha256 in self.loaded) or "none"


_Site = tuple[str, str]  # a part of the model and the name of a Linear inside it
_Voice = tuple[str, float]  # a full checkpoint's hash and a scale
