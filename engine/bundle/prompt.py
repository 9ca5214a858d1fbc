"""The audio prompt of a voice that was judged after one: without it the bundle could not say what it says here.

Knows the folder `reference/` of a bundle: the recording as it was kept, and its words. Knows no voice.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from engine.types import BadInput, Reference

FOLDER, WORDS_FILE = "reference", "reference.json"


def write(folder: Path, reference: Reference | None) -> None:
    """Put a prompt into a bundle; nothing where the voice has none. Raises BadInput when its recording is gone."""
    if reference is None:
        return
    source = reference.audio_path
    if not source.is_file():
        raise BadInput(
            f"{source} is missing: the voice was judged after it; put it back, or keep it as a prompt again."
        )
    (folder / FOLDER).mkdir()
    shutil.copyfile(source, folder / FOLDER / f"prompt{source.suffix}")
    told = {"audio": f"prompt{source.suffix}", "text": reference.text, "sha256": reference.sha256}
    (folder / FOLDER / WORDS_FILE).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> Reference | None:
    """The prompt of a bundle, None where it has none. Raises BadInput when it is damaged."""
    path = folder / FOLDER / WORDS_FILE
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Reference(
            audio_path=path.with_name(Path(told["audio"]).name), text=str(told["text"]), sha256=str(told["sha256"])
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged ({error!r}); export the voice again.") from error
