"""Adapters: their identity on disk, and the host that speaks with many of them over one loaded base model.

Knows the folder that a checkpoint or an export keeps an adapter in (`adapter.json` and one folder a part, in PEFT's
format or with full weights) and how rows of different adapters and scales share a batch. Does not know any backend, and
imports torch only when a host is given one.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import backends
from engine.types import Adapter, BadInput, NotFound, Refused, SpeakRow, Speech

if TYPE_CHECKING:
    from engine.backends import SpeechModel
    from engine.full_weights import FullWeights, Overlay
    from engine.peft_files import LoraPair
    from engine.row_lora import RowLora

ADAPTER_FILE = "adapter.json"
CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
FULL_FILE = "full.safetensors"
LORA, FULL = "lora", "full"
FORMAT_VERSION = 1


# -------------------------------------------------------------------------------------------------------------- on disk
def adapter_sha256(path: Path, parts: Sequence[str], kind: str = LORA) -> str:
    """Content hash of an adapter: the weights' bytes and the config's meaning of every part, in the order of their
    names.

    The config is hashed as canonical JSON with sorted target modules, because PEFT writes that set in any order: the
    same training gives the same hash. Full weights have no config. Raises BadInput naming a file that is missing or
    cannot be read.
    """
    digest = hashlib.sha256()
    for part in sorted(parts):
        if kind == LORA:
            config = _read_json(path / part / CONFIG_FILE)
            targets = config.get("target_modules")
            if isinstance(targets, list):
                config["target_modules"] = sorted(targets)
            digest.update(f"{part}\0{json.dumps(config, sort_keys=True)}\0".encode())
        else:
            digest.update(f"{kind}\0{part}\0".encode())
        weights = path / part / (WEIGHTS_FILE if kind == LORA else FULL_FILE)
        if not weights.is_file():
            raise BadInput(
                f"{weights} is missing: the adapter is not complete; copy the whole folder again or pick another one."
            )
        with weights.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def part_files(kind: str) -> tuple[str, ...]:
    """The names of the files in a part's folder."""
    return (CONFIG_FILE, WEIGHTS_FILE) if kind == LORA else (FULL_FILE,)


def write_adapter(
    path: Path,
    *,
    backend: str,
    base_sha256: str,
    voice: str,
    parts: Sequence[str],
    rank: int,
    alpha: float,
    voice_settings: Mapping[str, float],
    kind: str = LORA,
) -> Adapter:
    """Write `adapter.json` beside the parts that were saved under `path`, and return the adapter that it describes."""
    adapter = Adapter(
        sha256=adapter_sha256(path, parts, kind),
        path=path,
        backend=backend,
        base_sha256=base_sha256,
        voice=voice,
        parts=tuple(parts),
        rank=rank,
        alpha=alpha,
        voice_settings=dict(voice_settings),
        kind=kind,
    )
    record = {
        "format_version": FORMAT_VERSION,
        "sha256": adapter.sha256,
        "backend": backend,
        "base_sha256": base_sha256,
        "voice": voice,
        "parts": list(parts),
        "rank": rank,
        "alpha": alpha,
        "voice_settings": dict(voice_settings),
        "kind": kind,
    }
    (path / ADAPTER_FILE).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return adapter


def load_adapter(path: Path) -> Adapter:
    """The adapter of a checkpoint's or an export's folder, its hash checked. Loads no weights and no torch.

    Raises NotFound when `path` holds no `adapter.json`, BadInput when it is damaged or its files do not have the hash
    it states.
    """
    adapter = read_adapter(path)
    found = adapter_sha256(path, adapter.parts, adapter.kind)
    if found != adapter.sha256:
        raise BadInput(
            f"The weights or the config in {path} are not those that {ADAPTER_FILE} describes "
            f"({found[:12]} instead of {adapter.sha256[:12]}): they were altered; copy the folder again."
        )
    return adapter


def read_adapter(path: Path) -> Adapter:
    """What `adapter.json` says, without reading the weights: for lists, where hashing every adapter would take seconds.

    Raises NotFound when `path` holds no `adapter.json`, BadInput when that is damaged.
    """
    file = path / ADAPTER_FILE
    if not file.is_file():
        raise NotFound(
            f"There is no adapter in {path}: {ADAPTER_FILE} is missing; name a checkpoint's or an export's folder."
        )
    record = _read_json(file)
    if record.get("format_version") != FORMAT_VERSION:
        raise BadInput(
            f"{file} has format version {record.get('format_version')!r}, this version reads {FORMAT_VERSION}: "
            "use the version that wrote it."
        )
    try:
        return Adapter(
            sha256=str(record["sha256"]),
            path=path,
            backend=str(record["backend"]),
            base_sha256=str(record["base_sha256"]),
            voice=str(record["voice"]),
            parts=tuple(str(part) for part in record["parts"]),
            rank=int(record["rank"]),
            alpha=float(record["alpha"]),
            voice_settings={str(key): float(value) for key, value in record["voice_settings"].items()},
            kind=_kind(record),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{file} is not an adapter's description ({error!r}): copy the folder again from where it came."
        ) from error


def _kind(record: Mapping[str, Any]) -> str:
    """Folders from before full fine-tuning have no kind."""
    kind = str(record.get("kind", LORA))
    if kind not in (LORA, FULL):
        raise ValueError(f"kind {kind!r} is not known")
    return kind


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing: the adapter is not complete; copy the whole folder again.") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as JSON ({error}): copy the folder again from where it came.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path} does not hold a JSON object: copy the folder again from where it came.")
    return value


# ------------------------------------------------------------------------------------------------------------- speaking
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
            if isinstance(model, backends.HostsAdapters):
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
            if isinstance(self.model, backends.HostsAdapters):
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
