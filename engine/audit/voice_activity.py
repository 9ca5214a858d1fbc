"""Where somebody speaks, by the Silero voice activity detector (silero-vad 6.2, MIT licence).

Knows the network and its published weights, read from the package's safetensors file without importing the package,
which would load torch and set its threads for the whole process. The network runs over all frames of a clip at once
in NumPy; a test holds it against the package's own model. Knows nothing of rows or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
FRAME = 512  # samples a probability: 32 ms
_CONTEXT = 64  # samples of the frame before, seen again
_WINDOW, _HOP = 256, 128  # of the network's spectrum
_BLOCK = 1024  # frames at once: what is in memory does not grow with the recording

# The package's own defaults for turning probabilities into stretches of speech.
THRESHOLD = 0.5
RELEASE = THRESHOLD - 0.15
MIN_SPEECH_SEC, MIN_SILENCE_SEC, PAD_SEC = 0.25, 0.1, 0.03


def speech(samples_16k: NDArray[np.float32]) -> tuple[tuple[float, float], ...]:
    """(start, end) in seconds of each stretch of speech in mono samples at 16 kHz, in order, without overlap.

    Raises BadInput when the detector's package is not installed.
    """
    return stretches(probabilities(samples_16k), len(samples_16k))


def probabilities(samples_16k: NDArray[np.float32]) -> NDArray[np.float32]:
    """The chance of speech in each frame of 512 samples, shape (ceil(n / 512),)."""
    import numpy as np

    weights = _weights()
    count = -(-len(samples_16k) // FRAME)
    padded = np.zeros(_CONTEXT + count * FRAME, np.float32)
    padded[_CONTEXT : _CONTEXT + len(samples_16k)] = samples_16k
    state = (np.zeros(128, np.float32), np.zeros(128, np.float32))
    found = []
    for first in range(0, count, _BLOCK):
        many = min(_BLOCK, count - first)
        block = padded[first * FRAME : (first + many) * FRAME + _CONTEXT]
        frames = np.lib.stride_tricks.sliding_window_view(block, _CONTEXT + FRAME)[::FRAME]
        hidden, state = _recurrent(_encoded(frames, weights), weights, state)
        logits = np.maximum(hidden, 0) @ weights.out + weights.out_bias
        found.append(1 / (1 + np.exp(-logits)))
    return np.concatenate(found).astype(np.float32) if found else np.zeros(0, np.float32)


def stretches(chances: NDArray[np.float32], length: int) -> tuple[tuple[float, float], ...]:
    """Speech from the first frame above `THRESHOLD` until `MIN_SILENCE_SEC` below `RELEASE`; `length` in samples.

    As `get_speech_timestamps_from_probs` of the package with its defaults: speech of less than `MIN_SPEECH_SEC` is
    none, and each stretch is widened by `PAD_SEC`, half way to its neighbour at most.
    """
    found = [(start, end) for start, end in _triggered(chances, length) if end - start > MIN_SPEECH_SEC * SAMPLE_RATE]
    if not found:
        return ()
    pad = int(PAD_SEC * SAMPLE_RATE)
    gaps = [min(pad, (after - before) // 2) for (_, before), (after, _) in pairwise(found)]
    before = [min(pad, found[0][0]), *gaps]
    after = [*gaps, min(pad, length - found[-1][1])]
    return tuple(
        ((start - early) / SAMPLE_RATE, (end + late) / SAMPLE_RATE)
        for (start, end), early, late in zip(found, before, after, strict=True)
    )


def _triggered(chances: NDArray[np.float32], length: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start = quiet_since = -1
    for place, chance in enumerate(chances.tolist()):
        at = place * FRAME
        if chance >= THRESHOLD:
            quiet_since = -1
            start = at if start < 0 else start
        elif start >= 0 and chance < RELEASE:
            quiet_since = at if quiet_since < 0 else quiet_since
            if at - quiet_since >= MIN_SILENCE_SEC * SAMPLE_RATE:
                found.append((start, quiet_since))
                start = quiet_since = -1
    if start >= 0:
        found.append((start, length))
    return found


# ------------------------------------------------------------------------------------------------------------- network
@dataclass(frozen=True)
class _Convolution:
    """A kernel of three as a matrix, shape (in * 3, out), with its stride; zeros around the ends."""

    matrix: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(frames, time, in) -> (frames, time / stride, out), rectified."""
        import numpy as np

        padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        seen = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)[:, :: self.stride]
        frames, times = seen.shape[:2]
        y = seen.reshape(frames * times, -1) @ self.matrix + self.bias
        rectified: NDArray[np.float32] = np.maximum(y, 0, out=y).reshape(frames, times, -1)
        return rectified


@dataclass(frozen=True)
class _Weights:
    spectrum: NDArray[np.float32]  # (256, 258): cosines, then sines
    convolutions: tuple[_Convolution, ...]
    inward: NDArray[np.float32]  # (128, 512): input, forget, cell, output
    recurrent: NDArray[np.float32]  # (128, 512)
    bias: NDArray[np.float32]
    out: NDArray[np.float32]  # (128,)
    out_bias: float


def _encoded(frames: NDArray[np.float32], weights: _Weights) -> NDArray[np.float32]:
    """(frames, 576) samples -> (frames, 128)."""
    import numpy as np

    mirrored = np.concatenate([frames, frames[:, -_CONTEXT - 1 : -1][:, ::-1]], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, _WINDOW, axis=1)[:, ::_HOP]
    count, times = windows.shape[:2]
    both = windows.reshape(count * times, _WINDOW) @ weights.spectrum
    half = both.shape[1] // 2
    x = np.sqrt(both[:, :half] ** 2 + both[:, half:] ** 2).reshape(count, times, half)
    for convolution in weights.convolutions:
        x = convolution(x)
    encoded: NDArray[np.float32] = x[:, 0]
    return encoded


def _recurrent(
    x: NDArray[np.float32], weights: _Weights, state: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """An LSTM over (frames, 128); returns all hidden states and the last (hidden, cell)."""
    import numpy as np

    # sigmoid(x) = (1 + tanh(x / 2)) / 2: one tanh serves all four gates of a step.
    halves = np.concatenate([np.full(256, 0.5), np.ones(128), np.full(128, 0.5)]).astype(np.float32)
    driven = (x @ weights.inward + weights.bias) * halves
    recurrent = weights.recurrent * halves
    hidden, cell = state
    found = np.empty((len(x), 128), np.float32)
    for place, drive in enumerate(driven):
        gates = np.tanh(drive + hidden @ recurrent)
        cell = 0.5 * ((1 + gates[128:256]) * cell + (1 + gates[:128]) * gates[256:384])
        hidden = 0.5 * (1 + gates[384:]) * np.tanh(cell)
        found[place] = hidden
    return found, (hidden, cell)


@cache
def _weights() -> _Weights:
    import numpy as np
    from safetensors.numpy import load_file

    read = load_file(_weights_file())

    def convolution(name: str, stride: int) -> _Convolution:
        kernel = read[f"{name}.weight"]  # (out, in, 3)
        matrix = np.ascontiguousarray(kernel.transpose(1, 2, 0).reshape(-1, len(kernel)))
        return _Convolution(matrix, read[f"{name}.bias"], stride)

    return _Weights(
        spectrum=np.ascontiguousarray(read["stft_conv.weight"][:, 0].T),
        convolutions=tuple(convolution(f"conv{n}", stride) for n, stride in ((1, 1), (2, 2), (3, 2), (4, 1))),
        inward=np.ascontiguousarray(read["lstm_cell.weight_ih"].T),
        recurrent=np.ascontiguousarray(read["lstm_cell.weight_hh"].T),
        bias=read["lstm_cell.bias_ih"] + read["lstm_cell.bias_hh"],
        out=np.ascontiguousarray(read["final_conv.weight"][0, :, 0]),
        out_bias=float(read["final_conv.bias"][0]),
    )


def _weights_file() -> Path:
    try:
        package = metadata.distribution("silero-vad")
    except metadata.PackageNotFoundError as error:
        raise BadInput("The package silero-vad is not installed; run `make setup` again.") from error
    return Path(str(package.locate_file("silero_vad/data/silero_vad_16k.safetensors")))
