"""A gate whose control is another model's base: what is heard beside a candidate, what renders it, what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import backends, device, gate_files, sweep, sweep_records
from engine.backends import sizes
from engine.backends.backend_info import BackendInfo
from engine.backends.sizes import ModelSize
from engine.device import DeviceMemory
from engine.studio import Studio
from engine.types import (
    BadInput,
    Candidate,
    Choice,
    Clip,
    Control,
    ControlPrompt,
    Hearing,
    NotFound,
    Outcome,
    Reference,
    Tier,
)
from engine.workspace import Workspace
from tests.fake_host import FakeHost, backend_info
from tests.studio.test_gating import SECONDS, flag_clip
from tests.test_references import recording
from tests.test_studio import BASE, TUNED, put_clip
from tests.test_sweep import script

OTHER = Candidate(backend="other", voice="wren")
CONTROL = Control(backend="other", voice="wren", prompt=ControlPrompt.NONE)
WEIGHTS = "b" * 64


@pytest.fixture(name="studio")
def _studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    known = backends.info

    def info(name: str, *rest: str) -> BackendInfo:
        if name not in ("other", "fake"):
            return known(name, *rest)
        return replace(backend_info(name), reference="optional", base_sha256=WEIGHTS)

    monkeypatch.setattr(backends, "info", info)
    with Studio(Workspace(tmp_path), clock=lambda: 1_000.0, device="cpu") as studio:
        for candidate in (BASE, TUNED, OTHER):
            for tier in Tier:
                put_clip(studio, candidate, tier, duration_sec=SECONDS[tier])
        yield studio


def gate(studio: Studio, control: Control | None = CONTROL, name: str = "pair", *, hidden: bool = False) -> None:
    """A gate as somebody writes it by hand: with a control of any weights."""
    rules = replace(studio.gate(), name=name, hearing=Hearing.BESIDE_CONTROL, hidden_control=hidden, control=control)
    gate_files.write(rules, studio.workspace.gates)


def after(studio: Studio, clip: Clip, reference: Reference) -> Clip:
    """The same clip as it would be after an audio prompt."""
    prompted = replace(clip, id=f"{clip.id}-{reference.sha256[:4]}", reference=reference)
    studio.store.add_clips([prompted])
    return prompted


def kept(studio: Studio, tmp_path: Path) -> Reference:
    return studio.keep_reference(recording(tmp_path / "prompt.wav"), "Some words.", name="prompt").reference


def beside(studio: Studio, session: str) -> list[tuple[Candidate, str]]:
    """Who is the control of each trial, and after which prompt it spoke."""
    found = []
    for trial in studio.store.trials(session):
        clip = next(studio.store.clip(slot.clip_id) for slot in trial.slots if slot.label == trial.control)
        found.append((clip.candidate, clip.reference.sha256 if clip.reference else ""))
    return found


def test_the_other_models_clips_are_heard_and_the_candidate_alone_is_judged(studio: Studio) -> None:
    """The verdict is what it is beside the candidate's own base; flags of the control are nobody's question."""
    found = {}
    for name, control in (("pair", CONTROL), ("own", None)):
        gate(studio, control, name)
        flag_clip(studio, Tier.LONG, {"dropped word": ("line",)}, OTHER)
        session = studio.open_gate_session([TUNED], reviewer="Ada", gate=name, seed=1)
        assert {each for each, _ in beside(studio, session.id)} == {OTHER if control else BASE}
        while (trial := studio.next_trial(session.id)) is not None:
            studio.answer(trial.trial_id, Choice.PASS)
            assert studio.flag_question(session.id) is None
        found[name] = [(v.candidate, v.outcome, v.findings) for v in studio.judge(by="Ada", gate=name)]
    assert found["pair"] == found["own"]
    assert [(candidate, outcome) for candidate, outcome, _ in found["pair"]] == [(TUNED, Outcome.PASS)]


def test_a_page_sees_the_same_whichever_model_is_the_control(studio: Studio) -> None:
    """Labels, orders and everything else that is shown are those of a gate with the candidate's own base."""
    seen = []
    for name, control in (("pair", CONTROL), ("own", None)):
        gate(studio, control, name)
        session = studio.open_gate_session([TUNED], reviewer="Ada", gate=name, seed=7)
        told = []
        while (trial := studio.next_trial(session.id)) is not None:
            sounds = {len(studio.stimulus(token)) for _, token in trial.slots}
            shown = replace(trial, trial_id="", slots=tuple((label, "") for label, _ in trial.slots), upcoming=())
            told.append((replace(shown, previous=None), len(sounds)))
            studio.answer(trial.trial_id, Choice.PASS)
        seen.append(told)
    assert seen[0] == seen[1]
    assert {many for _, many in seen[0]} == {1}, "both sides are of one length"


def test_a_prompt_free_candidate_is_heard_beside_a_control_that_clones(studio: Studio, tmp_path: Path) -> None:
    """With a prompt of its own the control's clips after that prompt are heard, and no others; with the candidate's,
    those after the same; without one, those without.
    """
    prompt = kept(studio, tmp_path)
    for clip in studio.clips([OTHER]):
        after(studio, clip, prompt)
    own = Control(backend="other", voice="wren", prompt=ControlPrompt.OWN, reference_sha256=prompt.sha256)
    same = replace(CONTROL, prompt=ControlPrompt.SAME)
    for name, control, spoken in (("own", own, prompt.sha256), ("none", CONTROL, ""), ("same", same, "")):
        gate(studio, control, name)
        session = studio.open_gate_session([TUNED], reviewer="Ada", gate=name)
        assert set(beside(studio, session.id)) == {(OTHER, spoken)}


def test_a_hidden_control_is_the_one_that_the_gate_names(studio: Studio) -> None:
    """It is asked about without its name, in the place of the candidate's own base."""
    gate(studio, hidden=True)
    session = studio.open_gate_session([TUNED], reviewer="Ada", gate="pair")
    asked = {
        studio.store.clip(slot.clip_id).candidate
        for trial in studio.store.trials(session.id)
        for slot in trial.slots
        if slot.label != trial.control
    }
    assert asked == {TUNED, OTHER}


def test_what_is_missing_is_told_with_the_mend(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips that are not there, by these weights or after this prompt; a model, a voice or a prompt that is not."""
    prompt = kept(studio, tmp_path)
    own = replace(CONTROL, prompt=ControlPrompt.OWN, reference_sha256=prompt.sha256)

    def told(control: Control) -> str:
        gate(studio, control)
        with pytest.raises(BadInput) as refused:
            studio.gate_outline([TUNED], gate="pair")
        return str(refused.value)

    assert "has not spoken long-1, medium-1, short-1 after the audio prompt" in told(own)
    assert "tick “Control of pair”, or run `sweep --gate pair`" in told(own)
    assert "There is no reference" in told(replace(own, reference_sha256="f" * 64))
    assert "the gate names the weights aaaaaaaaaaaa" in told(replace(CONTROL, base_sha256="a" * 64))
    assert "has no base voice 'owl'; name one of: robin, wren" in told(replace(CONTROL, voice="owl"))
    monkeypatch.setattr(backends, "info", known_by_name(NotFound("Name its folder with EARMARK_COSYVOICE2.")))
    gone = told(Control(backend="cosyvoice2", voice="default"))
    assert gone.endswith("and cannot: Name its folder with EARMARK_COSYVOICE2.")


def known_by_name(error: Exception) -> object:
    """`backends.info` where nothing is installed."""

    def info(*_: str) -> None:
        raise error

    return info


def test_a_saved_control_is_known_by_its_weights_and_only_their_clips_are_heard(studio: Studio) -> None:
    """Saving takes down the weights that are here; a clip that other ones spoke, by its facts, is not the control's."""
    gate(studio)
    control = studio.save_gate(replace(studio.gate("pair"), about="Pinned."), by="Ada").control
    assert control == replace(CONTROL, base_sha256=WEIGHTS)
    for clip in studio.clips([OTHER]):
        facts(clip, WEIGHTS)
    assert studio.gate_outline([TUNED], gate="pair").trials == 3
    facts(studio.clips([OTHER])[0], "c" * 64)
    with pytest.raises(BadInput, match=r"has not spoken \w+-1 without an audio prompt; on the Sweep page"):
        studio.gate_outline([TUNED], gate="pair")


def facts(clip: Clip, base_sha256: str) -> None:
    """What the cache knows of a clip."""
    told = {"key": clip.path.stem, "recipe": {"base_sha256": base_sha256}, "audio_bytes": clip.path.stat().st_size}
    clip.path.with_suffix(".json").write_text(json.dumps(told))


def test_a_sweep_renders_the_control_after_its_own_prompt_beside_the_candidates(studio: Studio, tmp_path: Path) -> None:
    """The candidates without one, the control after its prompt, in one sweep of two models; the sweep on disk is the
    same, and the gate then has what it needs.
    """
    prompt = kept(studio, tmp_path)
    own = replace(CONTROL, prompt=ControlPrompt.OWN, reference_sha256=prompt.sha256)
    fake = Candidate(backend="fake", voice="robin")
    asked = sweep.Request(candidates=(fake,), script=script("Good morning.", "Good night."))
    with pytest.raises(BadInput, match="names no control of another model"):
        studio.with_control(asked, "three-tiers")
    gate(studio, own)
    request = studio.with_control(asked, "pair")
    plan = studio.plan_sweep(request)
    assert {(job.candidate, job.reference) for job in plan.jobs} == {(fake, None), (OTHER, prompt)}
    assert plan.backends == ("fake", "other")
    back = json.loads(json.dumps(sweep_records.request_to_json(request)))
    loaded = sweep_records.request_from_json(back, studio.workspace.references)
    assert loaded.own_references == request.own_references
    for name in ("fake", "other"):
        studio._hosts[name] = FakeHost()  # type: ignore[assignment]
    studio.render(request)
    studio.save_gate(replace(studio.gate("pair"), measured_tiers=False), by="Ada")
    assert studio.gate_outline([fake], gate="pair").trials == 2


@pytest.mark.parametrize(("free_bytes", "left"), [(519, {"other"}), (521, {"fake", "other"})])
def test_a_second_model_takes_the_place_of_the_first_where_both_do_not_fit(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, free_bytes: int, left: set[str]
) -> None:
    """A hundred weights of four bytes each, and what speaking takes beside them: the model that spoke before stays as
    long as there is room for both.
    """
    size = ModelSize(
        parts=(), frozen_parameters=100, bytes_a_weight=4, tokens_a_second=1.0, feature_bytes_a_second=1
    )  # fmt: skip
    model = FakeHost()
    monkeypatch.setitem(backends.INFO, "other", "none")
    monkeypatch.setattr(sizes, "of", lambda *_: size)
    monkeypatch.setattr(device, "memory", lambda *_: DeviceMemory(free_bytes=free_bytes, total_bytes=1000))
    monkeypatch.setattr(backends, "load", lambda *_, **__: model)
    monkeypatch.setattr("engine.environments.interpreter", lambda *_: None)
    monkeypatch.setattr("engine.adapters.AdapterHost", lambda loaded: loaded)
    studio._hosts["fake"] = FakeHost()  # type: ignore[assignment]
    with studio.host("other") as host:
        assert host is model  # type: ignore[comparison-overlap]
    assert set(studio._hosts) == left
