"""Sixteen clips in one batch: what adapters and scales of their own cost, and what switching costs, against PEFT."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from peft.utils.hotswap import hotswap_adapter

from benchmarks.measure import Row, Table, in_turns
from benchmarks.voices import COUNT, PeftVoice, Unmixed, load_peft, make_adapters, rows, scale
from engine import backends
from engine.adapters import AdapterHost
from engine.backends.speech_model import SpeechModel
from engine.types import Adapter, Refused, SpeakRow, Speech


@dataclass(frozen=True)
class _Bench:
    """The host with 16 adapters, and PEFT with the same ones."""

    base_model: str
    host: AdapterHost
    peft_voice: PeftVoice
    adapters: Sequence[Adapter]

    @property
    def voice(self) -> str:
        return self.host.model.capabilities.voices[0]


def run(turns: int, base_model: str = "") -> list[Table]:
    """Both tables. Raises NotFound without the voice's weights."""
    with tempfile.TemporaryDirectory() as folder:
        host = AdapterHost(backends.load("finch", base_model))
        adapters = make_adapters(Path(folder), host.model)
        for adapter in adapters:
            host.add(adapter)
        peft_voice = PeftVoice(base_model, adapters)
        for index, adapter in enumerate(adapters):
            peft_voice.set_scale(adapter, scale(index))
        bench = _Bench(base_model, host, peft_voice, adapters)
        return [_batches(bench, turns), _switches(bench, turns)]


def _batches(bench: _Bench, turns: int) -> Table:
    host, peft_voice, adapters, voice = bench.host, bench.peft_voice, bench.adapters, bench.voice
    scales = [scale(index) for index in range(COUNT)]
    base = rows(voice, [None] * COUNT, [0.0] * COUNT)
    one = rows(voice, [adapters[0]] * COUNT, [1.0] * COUNT)
    one_scaled = rows(voice, [adapters[0]] * COUNT, scales)
    mixed = rows(voice, adapters, scales)
    peft_voice.activate(adapters[0])
    work: dict[str, Callable[[], Sequence[Speech]]] = {
        "base": lambda: host.speak(base),
        "one": lambda: host.speak(one),
        "one, 16 scales": lambda: host.speak(one_scaled),
        "mixed": lambda: host.speak(mixed),
        "singly": lambda: [host.speak([row])[0] for row in mixed],
        "peft one": lambda: _peft_one(peft_voice, one),
        "peft mixed": lambda: peft_voice.model.speak(mixed, mixer=peft_voice),
    }
    spoken = _must_be_equal_work(work)
    took = in_turns(work, turns)
    audio_sec = sum(len(speech.samples) / speech.sample_rate for speech in spoken)

    def row(name: str, what: str, against: str, aim: str = "") -> Row:
        return Row(what, f"{took[name]:.2f} s", f"{took[name] / took[against]:.2f} x {against}", aim)

    return Table(
        f"{COUNT} short clips ({audio_sec:.0f} s of audio), spoken whole: language model, decoder, vocoder",
        [
            row("base", "16 rows of the base, one batch", "one", "about 1 s"),
            row("one", "16 rows of one adapter at one scale, one batch", "one"),
            row("one, 16 scales", "16 rows of one adapter at 16 scales, one batch", "one"),
            row("mixed", "**16 rows of 16 adapters at 16 scales, one batch**", "one", "<= 1.15 x one"),
            row("peft one", "PEFT: 16 rows of one adapter, one batch", "one"),
            row("peft mixed", "PEFT: 16 rows of 16 adapters (`adapter_names`), one batch", "one"),
            row("singly", "16 renders of one row each", "mixed", ">= 4 x mixed"),
        ],
        "All cases speak the same tokens through the same loop; PEFT has one scale an adapter, set beforehand.",
    )


def _peft_one(peft_voice: PeftVoice, asked: Sequence[SpeakRow]) -> list[Speech]:
    return peft_voice.model.speak(asked, mixer=Unmixed())


def _must_be_equal_work(work: dict[str, Callable[[], Sequence[Speech]]]) -> Sequence[Speech]:
    """What every case says, which must be the same tokens in all of them."""
    spoken = {name: speak() for name, speak in work.items()}
    counts = {name: [speech.tokens for speech in found] for name, found in spoken.items()}
    for name, tokens in counts.items():
        if tokens != counts["base"]:
            raise Refused(
                f"{name!r} says other tokens than the base: make the adapters weaker, or the times mean nothing."
            )
    return spoken["base"]


def _switches(bench: _Bench, turns: int) -> Table:
    """From another adapter or scale to the end of one step of the language model, 16 rows of one column."""
    a, b = bench.adapters[:2]
    alike = {one.sha256: rows(bench.voice, [one] * COUNT, [1.0] * COUNT) for one in (a, b)}
    weaker = rows(bench.voice, [a] * COUNT, [0.3] * COUNT)
    mixed = [
        rows(bench.voice, order, [scale(i) for i in range(COUNT)]) for order in (bench.adapters, bench.adapters[::-1])
    ]
    hot = _HotSwapped(bench.base_model, a)
    host, peft_voice = bench.host, bench.peft_voice
    # There and back, so half of a turn is one switch.
    both: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "step": (partial(_step, host.model), partial(_step, host.model)),
        "adapter": (partial(_serve, host, alike[b.sha256]), partial(_serve, host, alike[a.sha256])),
        "scale": (partial(_serve, host, weaker), partial(_serve, host, alike[a.sha256])),
        "batch": (partial(_serve, host, mixed[0]), partial(_serve, host, mixed[1])),
        "disk": (
            partial(_serve_from_disk, host, b, alike[b.sha256]),
            partial(_serve_from_disk, host, a, alike[a.sha256]),
        ),
        "peft set_adapter": (partial(_activate, peft_voice, b), partial(_activate, peft_voice, a)),
        "peft set_scale": (partial(_rescale, peft_voice, a, 0.3), partial(_rescale, peft_voice, a, 1.0)),
        "peft hotswap": (partial(hot.swap, b), partial(hot.swap, a)),
        "reload": (
            partial(_reload, bench.base_model, b, alike[b.sha256]),
            partial(_reload, bench.base_model, a, alike[a.sha256]),
        ),
    }
    took = {name: sec / 2 for name, sec in in_turns({n: partial(_in_order, w) for n, w in both.items()}, turns).items()}
    titles = {
        "step": "no switch: one step of the base",
        "adapter": "**switch all rows to another loaded adapter**",
        "scale": "**change the scale of all rows**",
        "batch": "**another adapter and scale for each of 16 rows**",
        "disk": "load an adapter from disk and switch to it",
        "peft set_scale": "PEFT: `set_scale` on every layer",
        "peft set_adapter": "PEFT: `set_adapter` of a loaded one (16 are)",
        "peft hotswap": "PEFT: `hotswap_adapter` from disk",
        "reload": "load base and adapter anew",
    }
    return Table(
        "Switching, and one step of the language model (16 rows)",
        [
            Row(title, f"{1000 * took[name]:.1f} ms", f"{took[name] / took['adapter']:.2f} x adapter")
            for name, title in titles.items()
        ],
    )


def _in_order(work: Sequence[Callable[[], None]]) -> None:
    for one in work:
        one()


def _serve(host: AdapterHost, asked: Sequence[SpeakRow]) -> None:
    with host.using(asked):
        _step(host.model)


def _serve_from_disk(host: AdapterHost, adapter: Adapter, asked: Sequence[SpeakRow]) -> None:
    host.remove(adapter.sha256)
    host.add(adapter)
    _serve(host, asked)


def _reload(base_model: str, adapter: Adapter, asked: Sequence[SpeakRow]) -> None:
    host = AdapterHost(backends.load("finch", base_model))
    host.add(adapter)
    _serve(host, asked)


def _activate(peft_voice: PeftVoice, adapter: Adapter) -> None:
    peft_voice.activate(adapter)
    _step(peft_voice.model)


def _rescale(peft_voice: PeftVoice, adapter: Adapter, at: float) -> None:
    peft_voice.set_scale(adapter, at)
    _step(peft_voice.model)


class _HotSwapped:
    """Finch with one PEFT slot whose weights are swapped from disk."""

    def __init__(self, base_model: str, adapter: Adapter) -> None:
        self._model = backends.load("finch", base_model)
        self._parts = {name: load_peft(self._model.part(name), adapter.path / name) for name in adapter.parts}

    def swap(self, adapter: Adapter) -> None:
        """Another adapter into the slot, and a step."""
        for name, part in self._parts.items():
            hotswap_adapter(part, str(adapter.path / name), adapter_name="default")
        _step(self._model)


@torch.inference_mode()
def _step(model: SpeechModel) -> None:
    """The language model on one column of 16 rows."""
    model.part("lm")(input_ids=torch.zeros(COUNT, 1, dtype=torch.long), use_cache=False)
