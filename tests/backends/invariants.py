"""What every backend must keep, as one suite: subclass `SpeechModelInvariants` and give it a `Case`.

The case's weights are tiny and may be random, but its classes are the real ones, and PEFT's adapters are real and
trained.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends.backend_info import BackendInfo
from engine.backends.offers import RecomputesLayers, TellsSteps, loss_names
from engine.backends.speech_model import SpeechModel
from engine.giving_up import GaveUp
from engine.peft_files import is_conv1d
from engine.train.recompute import recompute
from engine.types import Adapter, GenerationSettings, Reference, Refused, SpeakRow, Speech, Utterance

TRAINING_STEPS = 6


@dataclass(frozen=True)
class Case:
    """A backend under test. `make` gives the base anew each time; `texts` are at least four that it can say."""

    make: Callable[[], SpeechModel]
    voice: str
    texts: Sequence[str]
    utterances: Sequence[Utterance]
    folder: Path
    # (model, row, speech) -> an example whose tokens are those that were spoken
    example_of: Callable[[Any, SpeakRow, Speech], Any]
    learning_rate: float = 2e-2  # of adapters: six steps are to be seen, and wide nets leap with less
    settings: GenerationSettings = field(default_factory=lambda: GenerationSettings(temperature=0.8, max_factor=2.0))
    reference: Reference | None = None  # of a voice that speaks only after one

    def rows(self, adapter: Adapter | None = None, scale: float = 1.0) -> list[SpeakRow]:
        """A row a text, each with its own seed."""
        return [
            SpeakRow(
                text=text,
                voice=self.voice,
                seed=100 + index,
                adapter_sha256=adapter.sha256 if adapter else None,
                lora_scale=scale if adapter else 0.0,
                voice_settings=adapter.voice_settings if adapter else {},
                settings=self.settings,
                reference=self.reference,
            )
            for index, text in enumerate(self.texts)
        ]


@dataclass(frozen=True)
class Trained:
    """What training left: the adapter, what the model said in the trainer's process, and what happened to the base."""

    adapter: Adapter
    spoken: list[Speech]
    base_before: str
    base_after: str
    losses: list[float]
    moved: int  # LoRA tensors that training changed


def train(case: Case, folder: Path, *, seed: int, alpha: float = 16.0) -> Trained:
    """A few steps of real PEFT training of every part, saved in PEFT's format."""
    torch.manual_seed(seed)
    model = case.make()
    examples = model.features(case.utterances, case.voice, case.folder / "features")
    parts = model.capabilities.parts
    base = {f"{p}.{name}": t for p in parts for name, t in _tensors(model.part(p))}
    before = _digest(base)
    wrapped = {
        part.name: peft.get_peft_model(
            model.part(part.name),  # type: ignore[arg-type]
            peft.LoraConfig(r=4, lora_alpha=alpha, lora_dropout=0.05, target_modules=list(part.target_modules)),
        )
        for part in model.lora_parts()
    }
    learned = [p for one in wrapped.values() for p in one.parameters() if p.requires_grad]
    start = [p.detach().clone() for p in learned]
    optimiser = torch.optim.AdamW(learned, lr=case.learning_rate)
    losses = []
    for step in range(TRAINING_STEPS):
        loss = torch.stack(list(model.loss(examples, case.voice, parts, seed=step).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    for name, one in wrapped.items():
        one.save_pretrained(str(folder / name))
    adapter = write_adapter(
        folder,
        backend=model.name,
        base_sha256=model.base_sha256,
        voice=case.voice,
        parts=parts,
        rank=4,
        alpha=alpha,
        voice_settings={},  # so that the rows below need none either
    )
    return Trained(
        adapter=adapter,
        spoken=model.speak(case.rows()),
        base_before=before,
        base_after=_digest(base),
        losses=losses,
        moved=sum(not torch.equal(p, q) for p, q in zip(learned, start, strict=True)),
    )


def train_whole(case: Case, folder: Path, *, seed: int) -> Trained:
    """A few steps of every weight of every part, saved as full fine-tuning saves them. The rate follows the seed too:
    a model without dropout would learn the same from any.
    """
    torch.manual_seed(seed)
    model = case.make()
    examples = model.features(case.utterances, case.voice, case.folder / "features")
    parts = model.capabilities.parts
    learned = {f"{p}.{n}": t for p in parts for n, t in model.part(p).requires_grad_(True).named_parameters()}
    start = {name: tensor.detach().clone() for name, tensor in learned.items()}
    optimiser = torch.optim.AdamW(learned.values(), lr=2e-3 + 1e-3 * seed)
    losses = []
    for step in range(TRAINING_STEPS):
        loss = torch.stack(list(model.loss(examples, case.voice, parts, seed=100 * seed + step).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    for part in parts:
        (folder / part).mkdir(parents=True)
        own = {name: tensor.detach().clone() for name, tensor in model.part(part).named_parameters()}
        save_file(own, folder / part / "full.safetensors")
    adapter = write_adapter(
        folder,
        backend=model.name,
        base_sha256=model.base_sha256,
        voice=case.voice,
        parts=parts,
        rank=0,
        alpha=0.0,
        voice_settings={},
        kind="full",
    )
    for part in parts:
        model.part(part).requires_grad_(False)
    moved = sum(not torch.equal(tensor, start[name]) for name, tensor in learned.items())
    return Trained(adapter, model.speak(case.rows()), "", "", losses, moved)


def _tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().float().numpy().tobytes())
    return digest.hexdigest()


def assert_told(told: BackendInfo, model: SpeechModel) -> None:
    """What forms and lists say of a model before it is loaded is what the loaded one says of itself."""
    can = model.capabilities
    assert (told.name, told.base_sha256) == (model.name, model.base_sha256)
    assert (told.parts, told.voices, told.languages) == (can.parts, can.voices, can.languages)
    assert (told.full_sft, told.reference, told.mixes_rows) == (can.full_sft, can.reference, can.mixes_rows)


def assert_identical(one: Sequence[Speech], other: Sequence[Speech]) -> None:
    """Same tokens, same end, the same samples to the bit."""
    for a, b in zip(one, other, strict=True):
        assert (a.tokens, a.stop) == (b.tokens, b.stop)
        assert np.array_equal(a.samples, b.samples)


def assert_same(one: Sequence[Speech], other: Sequence[Speech], tolerance: float) -> None:
    """Same tokens, same end, and a difference whose RMS is at most `tolerance` of the signal's."""
    for a, b in zip(one, other, strict=True):
        assert (a.tokens, a.stop) == (b.tokens, b.stop)
        assert _rms(a.samples - b.samples) <= tolerance * _rms(b.samples)


def _rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean()))


class SpeechModelInvariants:
    """Subclasses give a module- or class-scoped fixture `case`."""

    # Products of another order or over another number of rows differ in their last bits. Where that does not change
    # which token is drawn (it does in about one draw in 10^5, at a near tie), what is left is what a vocoder makes of
    # it: one that integrates F0 lets a difference of one bit grow along the clip. 1e-3 is 60 dB below the signal.
    tolerance = 1e-3
    batch_tolerance = 1e-4

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, case: Case) -> tuple[Trained, Trained]:
        """Two adapters, trained from other seeds."""
        return train(case, case.folder / "a", seed=1), train(case, case.folder / "b", seed=2)

    @pytest.fixture
    def model(self, case: Case) -> SpeechModel:
        return case.make()

    @pytest.fixture
    def host(self, model: SpeechModel, trained: tuple[Trained, Trained]) -> AdapterHost:
        host = AdapterHost(model)
        for one in trained:
            host.add(one.adapter)
        return host

    # ------------------------------------------------------------------------------------------------------- the base
    def test_every_part_has_the_modules_it_wants_adapted(self, model: SpeechModel) -> None:
        """`lora_parts` follows `capabilities.parts`, and each target names at least one Linear of its part."""
        assert tuple(part.name for part in model.lora_parts()) == model.capabilities.parts
        for part in model.lora_parts():
            modules = model.part(part.name).named_modules()
            linears = [name for name, m in modules if isinstance(m, nn.Linear) or is_conv1d(m)]
            for target in part.target_modules:
                assert any(name == target or name.endswith(f".{target}") for name in linears), target

    def test_speaking_twice_is_the_same_and_another_seed_is_not(self, case: Case, model: SpeechModel) -> None:
        """A clip is a function of its row: the seed decides it, to the bit."""
        rows = case.rows()
        spoken = model.speak(rows)
        assert_identical(spoken, model.speak(rows))
        other = model.speak([replace(row, seed=row.seed + 1) for row in rows])
        assert any(not np.array_equal(a.samples, b.samples) for a, b in zip(spoken, other, strict=True))
        for speech in spoken:
            assert speech.samples.dtype == np.float32
            assert speech.samples.ndim == 1
            assert len(speech.samples) > 0
            assert np.abs(speech.samples).max() <= 1.0
            if speech.speech_tokens is not None:
                assert len(speech.speech_tokens.said) == speech.tokens
                assert bool(speech.speech_tokens.reference) is (case.reference is not None)

    def test_neither_speaking_nor_losses_touch_the_global_generator(self, case: Case, model: SpeechModel) -> None:
        """Noise comes from a row's generator and dropout from the step's seed, so the order of work changes nothing."""
        examples = model.features(case.utterances, case.voice, case.folder / "features")
        before = torch.random.get_rng_state()
        model.speak(case.rows())
        model.loss(examples, case.voice, model.capabilities.parts, seed=5)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_a_row_in_a_batch_is_the_same_row_alone(
        self, case: Case, host: AdapterHost, trained: tuple[Trained, Trained]
    ) -> None:
        """Whatever adapters, scales and lengths its neighbours have, a row keeps its tokens, its end and its
        samples.
        """
        a, b = (one.adapter for one in trained)
        adapters = [(a, 1.0), (b, 0.5), (None, 0.0), (a, 0.3)]
        rows = [
            replace(row, adapter_sha256=adapter.sha256 if adapter else None, lora_scale=scale)
            for row, (adapter, scale) in zip(case.rows(), adapters * len(case.texts), strict=False)
        ]
        together = host.speak(rows)
        alone = [host.speak([row])[0] for row in rows]
        assert_same(together, alone, self.batch_tolerance)
        assert_same(host.speak(rows[::-1])[::-1], alone, self.batch_tolerance)

    def test_speaking_tells_its_steps_and_can_be_left_at_one(self, case: Case, model: SpeechModel) -> None:
        """Steps never run past the most there can be; what a listener raises ends the speaking there, and the next
        batch is what it always was.
        """
        if not isinstance(model, TellsSteps):
            pytest.skip("this backend ends its batches before it can be left")
        told: list[tuple[int, int]] = []
        before = model.speak(case.rows())
        model.on_step = lambda done, most: told.append((done, most))
        assert_identical(model.speak(case.rows()), before)
        assert len(told) > 2
        assert all(0 <= done <= most for done, most in told)

        def give_up(done: int, most: int) -> None:
            if done == 1:
                raise GaveUp

        model.on_step = give_up
        with pytest.raises(GaveUp):
            model.speak(case.rows())
        model.on_step = None
        assert_identical(model.speak(case.rows()), before)

    # --------------------------------------------------------------------------------------------------- the adapters
    def test_an_adapter_changes_what_is_said(
        self, case: Case, host: AdapterHost, trained: tuple[Trained, Trained]
    ) -> None:
        """The suite's adapters matter, or every equality below would hold for nothing."""
        base = host.speak(case.rows())
        a, b = (host.speak(case.rows(one.adapter)) for one in trained)
        for one, other in ((a, base), (b, base), (a, b)):
            assert any(not np.array_equal(x.samples, y.samples) for x, y in zip(one, other, strict=True))

    def test_scale_0_is_the_base_bit_for_bit(
        self, case: Case, host: AdapterHost, trained: tuple[Trained, Trained]
    ) -> None:
        """At scale 0 a loaded adapter is not there: the hidden reference of every sweep."""
        base = case.make().speak(case.rows())
        assert_identical(host.speak(case.rows(trained[0].adapter, 0.0)), base)
        assert_identical(host.speak(case.rows()), base)

    def test_removing_the_adapters_gives_the_base_back(
        self, case: Case, host: AdapterHost, trained: tuple[Trained, Trained]
    ) -> None:
        """After use and removal the model is the one that was loaded, in sound and in the names of its tensors."""
        host.speak(case.rows(trained[0].adapter))
        for sha256 in host.loaded:
            host.remove(sha256)
        fresh = case.make()
        assert_identical(host.model.speak(case.rows()), fresh.speak(case.rows()))
        for part in fresh.capabilities.parts:
            assert dict(_tensors(host.model.part(part))).keys() == dict(_tensors(fresh.part(part))).keys()

    def test_a_reloaded_adapter_is_the_trained_one(
        self, case: Case, host: AdapterHost, trained: tuple[Trained, Trained]
    ) -> None:
        """What the host says from the saved files is what PEFT said in the process that trained them."""
        for one in trained:
            assert_same(host.speak(case.rows(one.adapter)), one.spoken, self.tolerance)

    def test_a_then_b_then_a_is_bit_exact(
        self, case: Case, host: AdapterHost, trained: tuple[Trained, Trained]
    ) -> None:
        """Switching adapters leaves nothing of the other one behind."""
        a, b = (one.adapter for one in trained)
        first = host.speak(case.rows(a))
        host.speak(case.rows(b))
        assert_identical(host.speak(case.rows(a)), first)

    def test_alpha_is_honoured(self, case: Case, model: SpeechModel, trained: tuple[Trained, Trained]) -> None:
        """An adapter's own alpha scales it: half the alpha at twice the scale is the same voice."""
        host = AdapterHost(model)
        full = trained[0].adapter
        half = _with_alpha(full, case.folder / "half", 8.0)
        host.add(full)
        host.add(half)
        rows = case.rows(full, 0.5)
        same = [replace(row, adapter_sha256=half.sha256, lora_scale=1.0) for row in rows]
        assert_same(host.speak(same), host.speak(rows), self.tolerance)

    # ------------------------------------------------------------------------------------------------- full fine-tuning
    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, case: Case) -> tuple[Trained, Trained]:
        """Two full checkpoints, where the backend can be trained in full."""
        if not case.make().capabilities.full_sft:
            pytest.skip("this backend trains adapters alone")
        return train_whole(case, case.folder / "whole-a", seed=1), train_whole(case, case.folder / "whole-b", seed=2)

    def test_full_weights_are_spoken_as_they_were_trained(
        self, case: Case, host: AdapterHost, whole: tuple[Trained, Trained]
    ) -> None:
        """At scale 1 the host says what the trainer's process said, to the bit; training lowered the loss."""
        for one in whole:
            host.add(one.adapter)
            assert one.losses[-1] < one.losses[0]
            assert one.moved > 0
            assert_identical(host.speak(case.rows(one.adapter)), one.spoken)

    def test_full_weights_at_scale_0_and_after_removal_are_the_base(
        self, case: Case, model: SpeechModel, whole: tuple[Trained, Trained]
    ) -> None:
        """Scale 0 is the base bit for bit, and so is every tensor once the checkpoint was spoken and removed."""
        fresh = case.make()
        base = fresh.speak(case.rows())
        host = AdapterHost(model)
        for one in whole:
            host.add(one.adapter)
        assert_identical(host.speak(case.rows(whole[0].adapter, 0.0)), base)
        spoken = host.speak(case.rows(whole[0].adapter, 0.6))
        assert any(not np.array_equal(a.samples, b.samples) for a, b in zip(spoken, base, strict=True))
        assert_identical(host.speak(case.rows()), base)
        for one in whole:
            host.remove(one.adapter.sha256)
        for part in fresh.capabilities.parts:
            own, first = dict(_tensors(model.part(part))), dict(_tensors(fresh.part(part)))
            assert own.keys() == first.keys()
            assert all(torch.equal(own[name], first[name]) for name in first)
        assert_identical(model.speak(case.rows()), base)

    def test_full_a_then_b_then_a_is_bit_exact(
        self, case: Case, host: AdapterHost, whole: tuple[Trained, Trained]
    ) -> None:
        """Going to another checkpoint and back leaves nothing of it behind."""
        for one in whole:
            host.add(one.adapter)
        a, b = (one.adapter for one in whole)
        first = host.speak(case.rows(a, 0.5))
        host.speak(case.rows(b))
        assert_identical(host.speak(case.rows(a, 0.5)), first)

    def test_rows_of_full_checkpoints_among_others_are_those_rows_alone(
        self, case: Case, host: AdapterHost, trained: tuple[Trained, Trained], whole: tuple[Trained, Trained]
    ) -> None:
        """They cannot share a batch, and the caller need not know: rows of all kinds come back in their order."""
        for one in whole:
            host.add(one.adapter)
        kinds = [(whole[0].adapter, 1.0), (trained[0].adapter, 1.0), (whole[1].adapter, 0.5), (None, 0.0)]
        rows = [
            replace(row, adapter_sha256=adapter.sha256 if adapter else None, lora_scale=scale)
            for row, (adapter, scale) in zip(case.rows(), kinds * len(case.texts), strict=False)
        ]
        assert_same(host.speak(rows), [host.speak([row])[0] for row in rows], self.batch_tolerance)
        with pytest.raises(Refused, match="cannot share a batch"), host.using(rows):
            pass

    def test_layers_computed_twice_give_the_same_training(self, case: Case) -> None:
        """Gradient checkpointing changes what is kept in memory, and no loss and no gradient."""
        model = case.make()
        if not isinstance(model, RecomputesLayers):
            pytest.skip("this backend names no layers for it")
        parts = model.capabilities.parts
        found = []
        for twice in (False, True):
            model = case.make()
            examples = model.features(case.utterances, case.voice, case.folder / "features")
            for part in parts:
                model.part(part).requires_grad_(True)
            if twice:
                recompute(model, parts)
            losses = model.loss(examples, case.voice, parts, seed=3)
            torch.stack(list(losses.values())).sum().backward()
            grads = {f"{p}.{n}": t.grad for p in parts for n, t in model.part(p).named_parameters()}
            found.append(({name: float(loss.detach()) for name, loss in losses.items()}, grads))
        (plain, one), (again, other) = found
        assert plain == again
        assert {n for n, g in one.items() if g is not None} == {n for n, g in other.items() if g is not None}
        assert all(torch.equal(g, other[n]) for n, g in one.items() if g is not None and other[n] is not None)

    # --------------------------------------------------------------------------------------------------- the training
    def test_training_changes_the_adapter_and_nothing_else(self, trained: tuple[Trained, Trained]) -> None:
        """LoRA training leaves every weight and buffer of the base as it was, lowers the loss, and moves the
        adapter.
        """
        for one in trained:
            assert one.base_after == one.base_before
            assert one.moved > 0
            assert one.losses[-1] < one.losses[0]

    def test_a_loss_follows_its_seed_alone(self, case: Case) -> None:
        """The same seed gives the same loss with dropout on, no seed gives a validation that never varies."""
        model = case.make()
        examples = model.features(case.utterances, case.voice, case.folder / "features")
        parts = model.capabilities.parts
        for part in model.lora_parts():
            config = peft.LoraConfig(
                r=2, lora_dropout=0.5, target_modules=list(part.target_modules), init_lora_weights=False
            )
            peft.get_peft_model(model.part(part.name), config)  # type: ignore[arg-type]

        def losses(seed: int | None) -> list[float]:
            found = model.loss(examples, case.voice, parts, seed)
            assert tuple(found) == loss_names(model, parts)
            return [float(loss.detach()) for loss in found.values()]

        assert losses(None) == losses(None)
        first = losses(3)
        torch.rand(7)
        assert losses(3) == first
        assert losses(4) != first

    def test_teacher_forcing_predicts_what_was_generated(self, case: Case, model: SpeechModel) -> None:
        """Training and speaking agree about which token follows which: a shifted label would cost a lot of loss."""
        first = model.capabilities.parts[0]
        for row in case.rows()[:3]:
            greedy = replace(row, settings=replace(case.settings, temperature=0.0))
            speech = model.speak([greedy])[0]
            example = case.example_of(model, greedy, speech)
            spoken = float(model.loss([example], case.voice, [first], None)[first])
            assert spoken < 1.0, f"{spoken:.2f} nats a token for its own words"


def _with_alpha(adapter: Adapter, folder: Path, alpha: float) -> Adapter:
    """A copy of an adapter whose configs say another alpha."""
    shutil.copytree(adapter.path, folder, dirs_exist_ok=True)
    for part in adapter.parts:
        file = folder / part / "adapter_config.json"
        config = json.loads(file.read_text())
        file.write_text(json.dumps(deepcopy(config) | {"lora_alpha": alpha}))
    return write_adapter(
        folder,
        backend=adapter.backend,
        base_sha256=adapter.base_sha256,
        voice=adapter.voice,
        parts=adapter.parts,
        rank=adapter.rank,
        alpha=alpha,
        voice_settings=adapter.voice_settings,
    )
