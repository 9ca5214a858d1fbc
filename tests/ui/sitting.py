"""How tests of the Listen page sit down: a sitting of any kind over the tests' studio, opened, heard and answered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.types import Candidate, Session, Slot, Switching, Trial, TrialKind, TrialRole
from tests.ui.fake_studio import RUN_ID, VOICE, FakeStudio

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

FIRST = Candidate(backend="finch", voice=VOICE, checkpoint_id=f"{RUN_ID}@000080", lora_scale=0.5)
SECOND = Candidate(backend="finch", voice=VOICE, checkpoint_id=f"{RUN_ID}@000200", lora_scale=1.0)
OPEN_PADS = ".em-pad:not([disabled])"
OPEN_ANSWERS = "[data-choice]:not([disabled])"
OPEN_SAVE = "[data-act=save]:not([disabled])"
LABELS = {
    TrialKind.GATE: "A",
    TrialKind.PREFERENCE: "AB",
    TrialKind.ABX: "ABX",
    TrialKind.CMOS: "AB",
    TrialKind.MOS: "A",
    TrialKind.MULTI: "ABCDEFGH",
}
LAST_KEY = {
    TrialKind.GATE: "p",
    TrialKind.PREFERENCE: "ArrowDown",
    TrialKind.ABX: "ArrowLeft",
    TrialKind.CMOS: "Enter",
    TrialKind.MOS: "Enter",
    TrialKind.MULTI: "Enter",
}
# Clips are cut to a third of a second once they are decoded: what is tested is the page; hearing has tests of its own.
SHORT_CLIPS = """
const decode = BaseAudioContext.prototype.decodeAudioData;
BaseAudioContext.prototype.decodeAudioData = async function (bytes) {
  const whole = await decode.call(this, bytes);
  const length = Math.min(whole.length, Math.round(whole.sampleRate / 3));
  const cut = this.createBuffer(whole.numberOfChannels, length, whole.sampleRate);
  for (let i = 0; i < whole.numberOfChannels; i += 1) cut.copyToChannel(whole.getChannelData(i).subarray(0, length), i);
  return cut;
};
"""
# Two keys without time between them: on a busy machine a short clip is over before a second key arrives.
AT_ONCE = """(keys) => keys.forEach((key) => document.activeElement.dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })))"""


def of_kind(studio: FakeStudio, kind: TrialKind, *, trials: int = 2, training: bool = False) -> Session:
    """A sitting of any kind, with as many candidates as it has sides."""
    clips = studio.clips()
    lines = list(dict.fromkeys(clip.line_id for clip in clips))
    session = replace(studio.open_gate_session([FIRST], reviewer="Ana"), id=studio.new_token()[:12], kind=kind)
    made = []
    for position in range(trials):
        line = lines[position % len(lines)] if len(LABELS[kind]) > 1 else lines[0]
        own = sorted((c for c in clips if c.line_id == line), key=lambda c: c.candidate.id)
        sides = own[position:] + own[:position]
        heard = [*sides[:2], sides[0]] if kind is TrialKind.ABX else sides[: len(LABELS[kind])]
        slots = tuple(
            Slot(label=label, token=studio.new_token(), clip_id=clip.id)
            for label, clip in zip(LABELS[kind], heard, strict=True)
        )
        made.append(
            Trial(
                id=studio.new_token(),
                session_id=session.id,
                position=position,
                kind=kind,
                line_id=own[0].line_id,
                text=own[0].text,
                tier=own[0].tier,
                slots=slots,
                role=TrialRole.TRAINING if training and position == 0 else TrialRole.MAIN,
            )
        )
    studio.listening._begin(replace(session, switching=Switching.CONTINUE), made)
    return session


def short_clips(context: BrowserContext) -> None:
    """Every clip of this browser lasts a third of a second."""
    context.add_init_script(SHORT_CLIPS)


def open_sitting(page: Page, address: str, session: Session, *, query: str = "") -> None:
    """Open a sitting and leave the page on which the volume is set."""
    page.goto(f"{address}/listen/?session={session.id}{query}")
    begin(page)


def begin(page: Page) -> None:
    """From the page on which the volume is set to the first trial."""
    page.wait_for_selector("[data-act=begin]")
    page.keyboard.press("Enter")
    page.wait_for_selector(OPEN_PADS)


def hear_all(page: Page) -> None:
    """Play every side to its end."""
    for side in range(page.locator("[data-side]").count()):
        page.evaluate(AT_ONCE, [str(side + 1), "r"])  # whatever played before, the whole of this one is heard, once
        page.wait_for_selector(f"[data-side='{side}'][aria-pressed=false] [data-told]:text-is('heard')")


def give(page: Page, kind: TrialKind) -> None:
    """Answer a trial that was heard, by keyboard."""
    if kind in (TrialKind.CMOS, TrialKind.MOS):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
    elif kind is TrialKind.MULTI:
        for side in range(page.locator("[data-side]").count()):
            page.keyboard.press(str(side + 1))
            page.keyboard.press("PageUp")
            for _ in range(side):
                page.keyboard.press("ArrowUp")
    page.keyboard.press(LAST_KEY[kind])


def answers(studio: FakeStudio, session: Session) -> list[Any]:
    """The answers in force of one sitting."""
    return [r for r in studio.listening.all_responses().values() if r.session_id == session.id]
