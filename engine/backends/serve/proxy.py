"""A voice in another process as a `SpeechModel`: everything but training, which has a process of its own anyway.

Knows which requests there are, and that a process that died is started again and gets its adapters back. Knows no
pipe.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.backends.serve import frames
from engine.backends.serve.process import SERVED, Interpreter, Patience, VoiceProcess
from engine.backends.speech_model import Capabilities, LoraPart, RowMixer
from engine.types import Adapter, EngineError, Refused, SpeakRow, Speech, Utterance

if TYPE_CHECKING:
    from torch import Tensor, nn


class ServedModel:
    """The base model stays loaded in its process; adapters and scales change in place there, in the same host that
    serves voices in this process. One call at a time: a second thread waits.
    """

    def __init__(
        self,
        name: str,
        base_model: str,
        device: str,
        interpreter: Interpreter,
        *,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.on_step: Callable[[int, int], None] | None = None
        self._asked = {"backend": name, "base_model": base_model, "device": device}
        self._interpreter = interpreter
        self._patience = patience or Patience()
        self._environment = {**(os.environ if environment is None else environment), SERVED: name}
        self._adapters: dict[str, Adapter] = {}
        self._lock = threading.RLock()
        self._process: VoiceProcess | None = None
        told = self._started()
        self.base_sha256: str = told["base_sha256"]
        self.sample_rate: int = told["sample_rate"]
        self.device: str = told["device"]
        # Rows of any kind go over in one request: the host at the other end divides them where the voice must.
        self.capabilities = replace(_capabilities(told["capabilities"]), mixes_rows=True)

    # ----------------------------------------------------------------------------------------------------- its process
    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process and self._process.is_alive else None

    def close(self) -> None:
        """End the process and free its memory; the next call starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _started(self) -> dict[str, Any]:
        """A new process with the voice loaded and every adapter that the last one had."""
        self.close()
        self._process = VoiceProcess(self._interpreter, self._environment, give_up_sec=self._patience.give_up_sec)
        try:
            told, _ = self._process.ask({"do": "load", **self._asked}, silence_sec=self._patience.load_sec)
            for adapter in self._adapters.values():
                self._process.ask(
                    {"do": "add", "adapter": frames.adapter_to_json(adapter)}, silence_sec=self._patience.load_sec
                )
        except BaseException:
            self.close()
            raise
        return told

    def _ask(self, message: Mapping[str, Any], on_progress: Callable[[int, int], None] | None = None) -> Any:
        with self._lock:
            if self.pid is None:
                told = self._started()
                if told["base_sha256"] != self.base_sha256:
                    self.close()
                    raise Refused(
                        f"The weights of {self.name} are others than when it was loaded; restart Earmark to use them."
                    )
            assert self._process is not None
            return self._process.ask(message, silence_sec=self._patience.speak_sec, on_progress=on_progress)

    # -------------------------------------------------------------------------------------------------------- adapters
    def add_adapter(self, adapter: Adapter) -> None:
        """Have the process read an adapter's files. Raises what its host raises."""
        self._ask({"do": "add", "adapter": frames.adapter_to_json(adapter)})
        self._adapters[adapter.sha256] = adapter

    def remove_adapter(self, sha256: str) -> None:
        """Have the process forget an adapter."""
        self._adapters.pop(sha256, None)
        self._ask({"do": "remove", "sha256": sha256})

    # -------------------------------------------------------------------------------------------------------- speaking
    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render all rows there. `on_step` is told of every step, and gives up by raising."""
        told, payload = self._ask({"do": "speak", "rows": [frames.row_to_json(row) for row in rows]}, self.on_step)
        return frames.speeches_from_frame(told["speeches"], payload)

    def agreement(self, text: str, voice: str) -> float:
        """The parity check of a voice that has one, in its process. Raises Refused for one that has none."""
        told, _ = self._ask({"do": "agreement", "text": text, "voice": voice})
        return float(told["agreement"])

    def bring_in(self, source: Path, runs_root: Path, *, name: str, now: float, voice: str, part: str) -> Path:
        """Bring in what was trained elsewhere: its fit is looked at where the model is."""
        told, _ = self._ask(
            {
                "do": "bring_in",
                "source": str(source.resolve()),
                "runs_root": str(runs_root.resolve()),
                "name": name,
                "now": now,
                "voice": voice,
                "part": part,
            }
        )
        return Path(told["checkpoint"])

    # -------------------------------------------------------------------------------------- what needs the weights here
    def part(self, name: str) -> nn.Module:
        raise self._elsewhere()

    def lora_parts(self) -> tuple[LoraPart, ...]:
        raise self._elsewhere()

    def closest_voice(self, utterances: Sequence[Utterance]) -> str:
        raise self._elsewhere()

    def features(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Any]:
        raise self._elsewhere()

    def voice_settings(self, examples: Sequence[Any], voice: str) -> Mapping[str, float]:
        raise self._elsewhere()

    def length(self, example: Any) -> int:
        raise self._elsewhere()

    def loss(self, examples: Sequence[Any], voice: str, parts: Sequence[str], seed: int | None) -> Mapping[str, Tensor]:
        raise self._elsewhere()

    def _elsewhere(self) -> EngineError:
        return Refused(
            f"The weights of {self.name} are in a process of their own, where only speaking is asked for; a training "
            "is started with `python -m engine train` and runs with the voice's own interpreter."
        )


def _capabilities(told: Mapping[str, Any]) -> Capabilities:
    lists = ("parts", "voices", "languages")
    return Capabilities(**{**told, **{name: tuple(told[name]) for name in lists}})
