"""A row's sound as two pictures of one ink: the wave and the spectrogram, drawn for the row that is opened alone.

A recording of an hour is read in pieces: neither picture ever holds more than a few seconds of it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import BadInput, NotFound
from ui import figures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = 640
WAVE_ROWS = 96
WHOLE_SEC = 60.0  # longer files are looked at in pieces
PIECE_SEC = 0.1  # of a long file, for each column


def wave_png(path: Path) -> bytes:
    """The wave from its lowest to its highest sample in each column, as opacity."""
    import numpy as np
    from PIL import Image

    low, high = _envelope(path)
    peak = max(float(np.abs(low).max(initial=0)), float(np.abs(high).max(initial=0)), 1e-4)
    rows = np.linspace(1, -1, WAVE_ROWS)[:, None]
    thin = 1.5 / WAVE_ROWS  # so that silence is a line and not nothing
    alpha = np.where((rows <= high / peak + thin) & (rows >= low / peak - thin), 255, 0).astype(np.uint8)
    image = Image.merge("LA", (Image.new("L", alpha.shape[::-1]), Image.fromarray(alpha)))
    out = io.BytesIO()
    image.save(out, format="PNG", optimize=True)
    return out.getvalue()


def spectrum_png(path: Path) -> bytes:
    """The spectrogram up to 8 kHz, as `figures.spectrum` draws it."""
    import numpy as np

    with _opened(path) as file:
        if file.frames <= WHOLE_SEC * file.samplerate:
            return figures.spectrum(_mono(file.read(dtype="float32", always_2d=True)), file.samplerate)
        pieces = [_mono(_piece(file, column, figures.SPECTRUM_FFT)) for column in range(COLUMNS)]
        return figures.spectrum(np.concatenate(pieces), file.samplerate)


def _envelope(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The lowest and the highest sample of each column."""
    import numpy as np

    with _opened(path) as file:
        if file.frames <= WHOLE_SEC * file.samplerate:
            samples = _mono(file.read(dtype="float32", always_2d=True))
            pieces = np.array_split(samples, min(COLUMNS, max(1, len(samples))))
        else:
            pieces = [_mono(_piece(file, c, int(PIECE_SEC * file.samplerate))) for c in range(COLUMNS)]
        low = np.array([p.min(initial=0) for p in pieces], dtype=np.float32)
        high = np.array([p.max(initial=0) for p in pieces], dtype=np.float32)
    return low, high


def _piece(file: Any, column: int, frames: int) -> Any:
    file.seek(int(column * (file.frames - frames) / COLUMNS))
    return file.read(frames, dtype="float32", always_2d=True)


def _mono(samples: Any) -> Any:
    return samples.mean(axis=1)


def _opened(path: Path) -> Any:
    import soundfile

    if not path.is_file():
        raise NotFound(f"{path.name} is not there any more; put the file back, or drop the row.")
    try:
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise BadInput(f"{path.name} cannot be read as audio ({error.error_string}); drop the row.") from error
