"""Use cases about a gate's control where it is another model's base: which clips are its, what renders them.

Knows gates, clips and what is installed. A gate without such a control has each candidate's own base in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine import backends, clip_cache, sweep
from engine.studio.answers import one_take, reference_of
from engine.studio.gate_desk import GateDesk
from engine.types import BadInput, Candidate, Clip, Control, ControlPrompt, EngineError, Gate

Said = tuple[Candidate, str, str, str]  # who, line, text, the audio prompt's hash


class GateControls(GateDesk):
    """What a gate is heard beside."""

    def control_of(self, rules: Gate, candidate: Candidate) -> Candidate:
        """The control of a candidate under a gate: the base that the gate names, or else the candidate's own."""
        return rules.control.candidate if rules.control else _base_of(candidate)

    def with_control(self, request: sweep.Request, gate: str) -> sweep.Request:
        """A sweep's request with the control that a gate names, spoken after the prompt that the gate says.

        Raises BadInput, saying what to do, for a gate that names none, and for a control that is not installed, has
        other weights than the gate says, or cannot take its prompt.
        """
        rules = self.gate(gate)
        if rules.control is None:
            raise BadInput(
                f"{rules.name} names no control of another model; its controls are the candidates' own bases."
            )
        if why := self._unable(rules.control):
            raise BadInput(f"The control of {rules.name} cannot be rendered: {why}")
        candidate = rules.control.candidate
        own = dict(request.own_references)
        if rules.control.prompt is ControlPrompt.OWN:
            own[candidate] = (self.reference(rules.control.reference_sha256),)
        elif rules.control.prompt is ControlPrompt.NONE:
            own[candidate] = (None,)
        candidates = tuple(dict.fromkeys((*request.candidates, candidate)))
        return replace(request, candidates=candidates, own_references=own)

    # ---------------------------------------------------------------------------------------------------------- inside
    def _controls(self, rules: Gate, clips: Sequence[Clip]) -> dict[str, Clip]:
        """The control's clip to hear beside each clip, by the clip's id. Raises BadInput naming what it has not spoken
        and the mend.
        """
        controls = {self.control_of(rules, clip.candidate) for clip in clips}
        spoken = {
            (control, clip.line_id, clip.text, reference_of(clip)): clip
            for control in controls
            for clip in one_take(self._control_clips(rules, control))
        }
        found = {clip.id: spoken.get(self._wanted(rules, clip)) for clip in clips}
        if missing := sorted({clip.line_id for clip in clips if found[clip.id] is None}):
            raise BadInput(self._unspoken(rules, missing))
        return {clip_id: control for clip_id, control in found.items() if control is not None}

    def _control_clips(self, rules: Gate, control: Candidate) -> list[Clip]:
        """The clips of a control that the gate's words are true of: after its prompt, by its weights."""
        found = self.clips([control])
        named = rules.control
        if named is None or control != named.candidate:
            return found
        if named.prompt is not ControlPrompt.SAME:
            found = [clip for clip in found if reference_of(clip) == named.reference_sha256]
        return [clip for clip in found if not named.base_sha256 or self._base_of_clip(clip) == named.base_sha256]

    def _wanted(self, rules: Gate, clip: Clip) -> Said:
        """What the control must have spoken to be heard beside a clip."""
        named = rules.control
        prompt = reference_of(clip) if named is None or named.prompt is ControlPrompt.SAME else named.reference_sha256
        return self.control_of(rules, clip.candidate), clip.line_id, clip.text, prompt

    def _base_of_clip(self, clip: Clip) -> str:
        """The hash of the base weights that spoke a clip; empty where its facts are gone."""
        facts = clip_cache.find(self.workspace.clips, clip.path.stem)
        return str(facts["recipe"]["base_sha256"]) if facts else ""

    def _unspoken(self, rules: Gate, lines: Sequence[str]) -> str:
        if rules.control is None:
            return (
                f"{rules.name} lets candidates be heard beside the base, which has not spoken {', '.join(lines)}; "
                "render the base with the same script, after the same reference."
            )
        told = f"{rules.name} lets candidates be heard beside {_named(rules.control)}, which has not spoken"
        if why := self._unable(rules.control):
            return f"{told} {', '.join(lines)} and cannot: {why}"
        return (
            f"{told} {', '.join(lines)} {_after(rules.control)}; on the Sweep page choose the same script and tick "
            f"“Control of {rules.name}”, or run `sweep --gate {rules.name}`."
        )

    def _unable(self, control: Control) -> str:
        """Why a control cannot speak here, with the mend; empty when it can."""
        try:
            info = backends.info(control.backend)
            if control.prompt is ControlPrompt.OWN:
                self.reference(control.reference_sha256)
        except EngineError as error:
            return str(error)
        if not info.has_voice(control.voice):
            return f"{info.title} has no base voice {control.voice!r}; name one of: {', '.join(info.voices)}."
        if control.base_sha256 and control.base_sha256 != info.base_sha256:
            return (
                f"the gate names the weights {control.base_sha256[:12]} of {info.title} and {info.base_sha256[:12]} "
                "are here; bring those, or choose the control anew on the Gate page, as a new version."
            )
        if info.reference == "none" and control.prompt is not ControlPrompt.NONE:
            return f"{info.title} speaks without an audio prompt; set the control's prompt to none on the Gate page."
        if info.reference == "required" and control.prompt is ControlPrompt.NONE:
            return f"{info.title} speaks only after an audio prompt; give the control one on the Gate page."
        return ""


def _named(control: Control) -> str:
    return f"the base {control.voice} of {control.backend}"


def _after(control: Control) -> str:
    after = {
        ControlPrompt.SAME: "after the candidate's own audio prompt",
        ControlPrompt.OWN: f"after the audio prompt {control.reference_sha256[:12]}",
        ControlPrompt.NONE: "without an audio prompt",
    }
    return after[control.prompt]


def _base_of(candidate: Candidate) -> Candidate:
    return Candidate(backend=candidate.backend, voice=candidate.voice)
