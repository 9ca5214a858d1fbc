"""Whisper from a folder on this machine, through transformers: transcripts, and texts held against audio.

Knows the folder's format (safetensors alone) and how long audio is cut. It never goes to a hub: a name that is no
folder is refused. It has been run on small random weights of the real classes, not on published ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.recogniser import Reading, Stretch
from engine.types import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER_VARIABLE = "EARMARK_WHISPER"
SAMPLE_RATE = 16000
WINDOW_SEC = 30.0  # what the model hears at once
_SEARCHED_SEC = 6.0  # at the end of a window, for the quietest place to cut at
_QUIET_SEC = 0.1
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# written without spaces between words: compared by characters
CHARACTER_LANGUAGES = frozenset("zh yue ja th lo my km bo".split())


class Whisper:
    """A loaded model: a `recogniser.Recogniser`. Units are words, or characters where words have no spaces."""

    name = "Whisper"
    least_excess = 5.0  # words that do not fit, in one place

    def __init__(self, model: Any, processor: Any, *, multilingual: bool, device: str) -> None:
        self._model = model
        self._processor = processor
        self._multilingual = multilingual
        self._device = device
        self.languages: tuple[str, ...] = () if multilingual else ("en",)

    def transcribe(self, samples: NDArray[np.float32], sample_rate: int, language: str = "") -> str:
        """What is said in mono samples, shape (n,), of any length; `language` as "en" or "zh", "": it finds out.

        Longer audio is cut at quiet places into windows of up to 30 s. Raises BadInput for a language that the model
        does not know.
        """
        from engine import audio

        at_16k = samples if sample_rate == SAMPLE_RATE else audio.resample(samples, sample_rate, SAMPLE_RATE)
        pieces = [self._one_window(piece, language) for piece in windows(at_16k)]
        joined = "" if _by_characters(language) else " "
        return joined.join(piece for piece in pieces if piece)

    def timed(self, samples: NDArray[np.float32], sample_rate: int, language: str = "") -> tuple[TimedUnit, ...]:
        """What is said in mono samples of any length, as words or characters with the seconds that each lasts.

        Times come from the cross-attention of the model's alignment heads. Raises BadInput for a language that the
        model does not know.
        """
        from engine import audio

        at_16k = samples if sample_rate == SAMPLE_RATE else audio.resample(samples, sample_rate, SAMPLE_RATE)
        found: list[TimedUnit] = []
        begin = 0
        for piece in windows(at_16k):
            tokens, seconds = self._with_times(piece, language)
            found += self._units_of_tokens(tokens, seconds, begin / SAMPLE_RATE, len(piece) / SAMPLE_RATE, language)
            begin += len(piece)
        return tuple(found)

    def _with_times(self, samples: NDArray[np.float32], language: str) -> tuple[list[int], list[float]]:
        """The tokens of one window and the second at which each ends."""
        generated = self._generate(samples, language, return_token_timestamps=True, return_dict_in_generate=True)
        return generated["sequences"][0].tolist(), generated["token_timestamps"][0].tolist()

    def _units_of_tokens(
        self, tokens: Sequence[int], seconds: Sequence[float], begin_sec: float, lasts_sec: float, language: str
    ) -> list[TimedUnit]:
        """Units of the text that tokens spell, each from the second of its first token to that of its last."""
        tokenizer = self._processor.tokenizer
        special = set(tokenizer.all_special_ids)
        kept = [
            (token, min(sec, lasts_sec))
            for token, sec in zip(tokens, seconds, strict=False)
            if token not in special and token < tokenizer.vocab_size
        ]
        found: list[TimedUnit] = []
        text, ended = "", 0.0
        for count, (_, sec) in enumerate(kept, start=1):
            # Characters may be spread over several tokens, so the text up to here is decoded each time.
            grown = tokenizer.decode([token for token, _ in kept[:count]])
            before, after = units_of(text, language), units_of(grown, language)
            if len(after) > len(before):
                found += [
                    TimedUnit(text=unit, start_sec=begin_sec + ended, end_sec=begin_sec + sec)
                    for unit in after[len(before) :]
                ]
            elif after and found:
                found[-1] = TimedUnit(text=after[-1], start_sec=found[-1].start_sec, end_sec=begin_sec + sec)
            text, ended = grown, sec
        return found

    def read(self, text: str, language: str) -> Reading:
        """A text as words or characters, without case and punctuation."""
        words = tuple(text.split())
        units = [(unit, place) for place, word in enumerate(words) for unit in units_of(word, language)]
        return Reading(units=tuple(u for u, _ in units), word_of=tuple(place for _, place in units), words=words)

    def hear(self, samples: NDArray[np.float32], sample_rate: int, language: str) -> WordsHeard:
        """Its transcript, to hold texts against."""
        return WordsHeard(units_of(self.transcribe(samples, sample_rate, language), language))

    def _one_window(self, samples: NDArray[np.float32], language: str) -> str:
        tokens = self._generate(samples, language)
        return str(self._processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip()

    def _generate(self, samples: NDArray[np.float32], language: str, **how: bool) -> Any:
        import torch

        given = self._processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True)
        asked: dict[str, Any] = {"task": "transcribe"} if self._multilingual else {}
        if self._multilingual and language:
            asked["language"] = language.lower().replace("_", "-").partition("-")[0]
        try:
            with torch.inference_mode():
                return self._model.generate(
                    given.input_features.to(self._device, self._model.dtype),
                    attention_mask=given.attention_mask.to(self._device),
                    do_sample=False,
                    num_beams=1,
                    **asked,
                    **how,
                )
        except ValueError as error:
            if "language" in str(error).lower():
                raise BadInput(
                    f"Whisper does not know the language {language!r}; correct the row's language."
                ) from error
            raise


@dataclass(frozen=True)
class TimedUnit:
    """A word or character that was heard, without case and punctuation."""

    text: str
    start_sec: float
    end_sec: float


class WordsHeard:
    """A clip as what was written down of it, in units."""

    def __init__(self, heard: Sequence[str]) -> None:
        self._heard = tuple(heard)

    def costs(self, texts: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Word or character error rate of each text: edits of what was heard, a unit of the text."""
        return np.array([self._edits(units)[-1, -1] / max(1, len(units)) for units in texts])

    def stretch(self, units: Sequence[str], allowed: float) -> Stretch:
        """The run of units with the most edits beyond `allowed` each; words heard between units count to the next."""
        costs, begins = self._aligned(units)
        # the run with the largest sum of (cost - allowed): Bentley's maximum subarray, by prefix sums
        gain = np.concatenate([[0.0], np.cumsum(costs - allowed)])
        lowest = np.minimum.accumulate(gain)
        end = int(np.argmax(gain - lowest))
        begin = int(np.argmin(gain[: end + 1]))
        heard = int(begins[end] - begins[begin]) if end > begin else 0
        return Stretch(begin=begin, end=end, heard=heard, excess=float(gain[end] - lowest[end]) / allowed)

    def _aligned(self, units: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The edits of each unit, and the place in what was heard at which each begins, with the end after them."""
        edits = self._edits(units)
        costs = np.zeros(len(units))
        begins = np.zeros(len(units) + 1, np.int64)
        row, column = len(units), len(self._heard)
        while row or column:
            here = edits[row, column]
            differs = bool(row and column and units[row - 1] != self._heard[column - 1])
            if row and column and here == edits[row - 1, column - 1] + differs:
                row, column = row - 1, column - 1
                costs[row] += differs
            elif row and here == edits[row - 1, column] + 1:
                row -= 1
                costs[row] += 1
            else:
                column -= 1
                costs[min(row, len(units) - 1)] += 1
            begins[row] = column
        begins[-1] = len(self._heard)
        return costs, begins

    def _edits(self, units: Sequence[str]) -> NDArray[np.int64]:
        """Levenshtein distances of all beginnings, shape (units + 1, heard + 1)."""
        heard = np.array(self._heard, dtype=object)
        edits = np.zeros((len(units) + 1, len(heard) + 1), np.int64)
        edits[0] = columns = np.arange(len(heard) + 1)
        for row, unit in enumerate(units):
            edits[row + 1, 0] = row + 1
            if len(heard):
                edits[row + 1, 1:] = np.minimum(edits[row, 1:] + 1, edits[row, :-1] + (heard != unit))
            # an insertion costs one a column: the least of what is left of it, by a running minimum
            edits[row + 1] = np.minimum.accumulate(edits[row + 1] - columns) + columns
        return edits


def load(folder: Path, *, device: str = "") -> Whisper:
    """The model in `folder`. Raises BadInput when it is missing, no Whisper, or its weights are pickles.

    `device` as torch names it; "": a GPU where there is one.
    """
    _must_be_whisper(folder)
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        processor = WhisperProcessor.from_pretrained(folder, local_files_only=True)
        model: Any = WhisperForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise BadInput(f"{folder} cannot be loaded as Whisper ({first}); copy the whole model folder again.") from error
    multilingual = bool(getattr(model.generation_config, "is_multilingual", False))
    return Whisper(model.eval().to(device), processor, multilingual=multilingual, device=device)


def windows(samples_16k: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Audio in pieces of up to 30 s, cut at the quietest tenth of a second of a piece's last seconds."""
    longest, searched, quiet = (int(sec * SAMPLE_RATE) for sec in (WINDOW_SEC, _SEARCHED_SEC, _QUIET_SEC))
    pieces: list[NDArray[np.float32]] = []
    while len(samples_16k) > longest:
        tail = samples_16k[longest - searched : longest].reshape(-1, quiet)
        cut = longest - searched + int((tail**2).sum(axis=1).argmin()) * quiet + quiet // 2
        pieces.append(samples_16k[:cut])
        samples_16k = samples_16k[cut:]
    return [*pieces, samples_16k]


def units_of(text: str, language: str) -> list[str]:
    """Words of letters and digits in lower case; characters in languages that put no spaces between words."""
    plain = "".join(c if c.isalnum() else "" if c in "'’" else " " for c in text.casefold())
    return [c for c in plain if c != " "] if _by_characters(language) else plain.split()


def _by_characters(language: str) -> bool:
    return language.lower().replace("_", "-").partition("-")[0] in CHARACTER_LANGUAGES


def _must_be_whisper(folder: Path) -> None:
    """Refuses what is no folder with a Whisper model in safetensors, before any library opens it."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; --whisper and {FOLDER_VARIABLE} take a folder with a Whisper model.")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder} holds no readable config.json; give the folder that the model came in.") from error
    if kind != "whisper":
        raise BadInput(f"{folder} holds a model of kind {kind!r}, not a Whisper model.")
    names = [path.name for path in folder.iterdir()]
    if any(name.endswith(".safetensors") for name in names):
        return
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        raise BadInput(
            f"{folder} has its weights as a pickle ({pickles[0]}), which can run any code; "
            "get the model as safetensors, or convert it where you trust it."
        )
    raise BadInput(f"{folder} holds no weights (*.safetensors); copy the whole model folder again.")
