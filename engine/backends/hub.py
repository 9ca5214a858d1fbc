"""Models by their name on the Hugging Face hub, `owner/name` or `owner/name@revision`, in this machine's cache.

Knows the form of such a name, the cache (the library's own: `HF_HUB_CACHE`), and which files of a repository are
wanted. `cached` never asks the network: a model is downloaded by `fetch` alone, which runs only where a person asked
for it. Knows no model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.types import EngineError, NotFound, Refused

NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*(@[\w][\w./-]*)?", re.ASCII)
# Configs, tokenizers, chat templates and weights without pickles. One codec (VoxCPM's) is published as torch's own file
# of weights alone; it is read with `weights_only`.
WANTED = ("*.json", "*.jinja", "*.safetensors", "audiovae.pth")
OFFLINE = "HF_HUB_OFFLINE"
COMMAND = "python -m engine models --fetch"  # what fetches a model, for messages


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The files of one commit of a repository, in the cache."""

    repository: str
    commit: str
    path: Path

    @property
    def pinned(self) -> str:
        """The name that means these files and no later ones."""
        return f"{self.repository}@{self.commit}"


def is_name(text: str) -> bool:
    """Whether `text` has the form of a name on the hub. A folder may have it too: whoever asks looks there first."""
    return NAME.fullmatch(text) is not None


def find(name: str) -> Snapshot | None:
    """What the cache has under a name; None where it has nothing. Files may be missing in it: a model that reads them
    names them.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, IncompleteSnapshotError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    wanted: Any = {"revision": revision or None, "allow_patterns": list(WANTED)}
    try:
        path = snapshot_download(repository, **wanted, local_files_only=True)
    except IncompleteSnapshotError as error:
        path = error.snapshot_path
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return Snapshot(repository=repository, commit=Path(path).name, path=Path(path))


def cached(name: str) -> Snapshot:
    """As `find`. Raises NotFound with the command that fetches the model."""
    found = find(name)
    if found is None:
        raise NotFound(
            f"There is no model {name} in this machine's cache of models, and Earmark downloads nothing unasked: fetch "
            f"it with `{COMMAND} {name}`, or name a folder that holds its files."
        )
    return found


def cache() -> Path:
    """The folder of this machine's cache; it may not exist yet."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def missing_bytes(name: str) -> int:
    """How much `fetch` would download. Raises as `fetch` does."""
    return sum(one.file_size for one in _download(name, dry_run=True) if one.will_download)


def fetch(name: str) -> Snapshot:
    """Download what the cache lacks of a model. Raises NotFound for a name that the hub does not have, or when it
    cannot be reached and the cache is not enough; Refused for a model whose licence has to be accepted first.
    """
    path = Path(_download(name, dry_run=False))
    return Snapshot(repository=name.partition("@")[0], commit=path.name, path=path)


def _download(name: str, *, dry_run: bool) -> Any:
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    wanted: Any = {"revision": revision or None, "allow_patterns": list(WANTED), "dry_run": dry_run}
    try:
        return snapshot_download(repository, **wanted)
    except Exception as error:  # its client raises whatever the network does
        raise _named(name, error) from error


def _named(name: str, error: BaseException) -> EngineError:
    """What to say of an error of the hub's library. A dry run hides its cause behind a sentence of its own."""
    from huggingface_hub import errors

    if isinstance(error, errors.DryRunError) and error.__cause__ is not None:
        error = error.__cause__
    repository, _, revision = name.partition("@")
    if isinstance(error, errors.GatedRepoError):
        return Refused(
            f"{repository} is given only to those who accepted its licence: do that on its page of the hub, log in "
            "with `hf auth login`, and fetch it again."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFound(
            f"The hub has no model {repository}, or it is private: correct the name, or log in with `hf auth login`."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFound(f"{repository} has no revision {revision}; leave it out for the newest one.")
    said = str(error).partition("\n")[0].rstrip(".")
    return NotFound(
        f"{name} cannot be fetched ({said}): try again where the hub can be reached and {OFFLINE} is not set, and copy "
        f"the cache here ({cache()}), or name a folder that holds the model's files."
    )
