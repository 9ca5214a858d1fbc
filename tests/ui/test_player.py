"""The player's sound, without ears: its graph is rendered offline in the browser and the samples are looked at."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from tests.ui.conftest import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LOOK = Path(__file__).parents[2] / "assets" / "ui"
RATE_HZ = 24_000

# Renders constant signals through the player's own functions: what comes out is the gains themselves.
OFFLINE = """
async ({ script, seconds, levels, lengths }) => {
  const { schedule, fade, proportional, Player, FADE_SEC, KEEP_PLACE_SEC } = await import("/player.js");
  const context = new OfflineAudioContext(1, seconds * 24000, 24000);
  const buffers = levels.map((level, i) => {
    const buffer = context.createBuffer(1, Math.round(lengths[i] * 24000), 24000);
    buffer.getChannelData(0).fill(level);
    return buffer;
  });
  const run = new Function("schedule", "fade", "context", "buffers", "FADE_SEC", script);
  run(schedule, fade, context, buffers, FADE_SEC);
  const rendered = await context.startRendering();
  return Array.from(rendered.getChannelData(0));
}
"""


@pytest.fixture(name="bench", scope="module")
def _bench() -> Iterator[str]:
    app = FastAPI()
    app.mount("/", StaticFiles(directory=LOOK))
    with served(app) as address:
        yield address


def render(page: Page, bench: str, script: str, *, levels: list[float], lengths: list[float]) -> list[float]:
    page.goto(f"{bench}/theme.js")
    given: dict[str, Any] = {"script": script, "seconds": 1, "levels": levels, "lengths": lengths}
    return page.evaluate(OFFLINE, given)  # type: ignore[no-any-return]


def steepest(samples: list[float]) -> float:
    return max(abs(b - a) for a, b in itertools.pairwise(samples))


START = (
    "schedule(context, buffers, {side: 0, at: 0.1, offsets: [0, 0], loop: false, destination: context.destination});"
)
SWITCH = (
    "const voices = schedule(context, buffers, {side: 0, at: 0, offsets: [0, 0], loop: false, "
    "destination: context.destination});"
    "fade(voices[0].gain.gain, 1, 0, 0.5); fade(voices[1].gain.gain, 0, 1, 0.5 + FADE_SEC);"
)
# A raised cosine of 12 ms at 24 kHz steps at most pi / 2 / 288 of the level from one sample to the next.
STEEPEST_FADE = 0.5 * 3.1416 / 2 / 288 * 1.1


def test_playing_starts_without_a_click_at_its_exact_sample(page: Page, bench: str) -> None:
    """Nothing sounds before the start; the level then rises by the fade and no faster."""
    samples = render(page, bench, START, levels=[0.5, -0.5], lengths=[1, 1])
    assert max(abs(s) for s in samples[: int(0.1 * RATE_HZ)]) == 0
    assert samples[int(0.2 * RATE_HZ)] == pytest.approx(0.5)
    assert steepest(samples) < STEEPEST_FADE


def test_only_one_side_is_heard(page: Page, bench: str) -> None:
    """All sides run, one is audible: the other adds nothing."""
    samples = render(page, bench, START, levels=[0.5, 0.9], lengths=[1, 1])
    assert max(samples) == pytest.approx(0.5)


def test_a_switch_does_not_click(page: Page, bench: str) -> None:
    """From one side to the other, opposite one, no two samples are further apart than a fade allows."""
    samples = render(page, bench, SWITCH, levels=[0.5, -0.5], lengths=[1, 1])
    assert samples[int(0.4 * RATE_HZ)] == pytest.approx(0.5)
    assert samples[int(0.6 * RATE_HZ)] == pytest.approx(-0.5)
    assert steepest(samples) < STEEPEST_FADE


def test_every_switch_sounds_the_same(page: Page, bench: str) -> None:
    """The gap of a switch tells nothing: to the same level and to another level its envelope is one and the same."""
    same = render(page, bench, SWITCH, levels=[0.5, 0.5], lengths=[1, 1])
    other = render(page, bench, SWITCH, levels=[0.5, -0.5], lengths=[1, 1])
    assert [abs(a) for a in same] == pytest.approx([abs(b) for b in other])


def test_unequal_clips_stay_at_the_same_share(page: Page, bench: str) -> None:
    """In the middle of one clip is the middle of the other, however long each is."""
    page.goto(f"{bench}/theme.js")
    found = page.evaluate(
        'async () => (await import("/player.js")).proportional([{duration: 10}, {duration: 8}, {duration: 0}], 0, 5)'
    )
    assert found == [5, 4, 0]


def test_a_loop_has_no_seam(page: Page, bench: str) -> None:
    """A looping clip begins again at the very next sample."""
    loop = START.replace("loop: false", "loop: true").replace("at: 0.1", "at: 0")
    samples = render(page, bench, loop, levels=[0.5, -0.5], lengths=[0.2, 0.2])
    assert min(samples[int(0.05 * RATE_HZ) :]) == pytest.approx(0.5)


HEARD = """
async ({ seconds, script }) => {
  const { Player } = await import("/player.js");
  const context = { currentTime: 0, state: "running", destination: null,
    createBufferSource: () => ({ connect: () => ({ connect() {} }), start() {}, stop() {} }),
    createGain: () => ({ gain: {
      value: 1, setValueAtTime() {}, setValueCurveAtTime() {}, cancelScheduledValues() {} } }),
    decodeAudioData: async () => ({ duration: seconds, length: seconds * 24000 }) };
  const player = new Player(context);
  await player.load([new ArrayBuffer(1), new ArrayBuffer(1)]);
  const go = (to) => { while (context.currentTime < to) { context.currentTime += 0.02; player.tick(); } };
  await new Function("player", "go", `return (async () => { ${script} })()`)(player, go);
  return { heard: [player.heard(0), player.heard(1)], plays: player.plays, side: player.side,
    playing: player.playing, position: player.position(), keeps: player.keepsPlace,
    shares: [player.heardShare(0), player.heardShare(1)] };
}
"""


def hear(page: Page, bench: str, script: str, seconds: float = 4) -> dict[str, Any]:
    page.goto(f"{bench}/theme.js")
    return page.evaluate(HEARD, {"seconds": seconds, "script": script})  # type: ignore[no-any-return]


def test_a_side_is_heard_when_it_was_played_to_its_end(page: Page, bench: str) -> None:
    """One play from start to end is one hearing of that side and of no other."""
    found = hear(page, bench, "await player.play(0); go(10);")
    assert found["heard"] == [True, False]
    assert found["plays"] == [1, 0]
    assert not found["playing"]


def test_half_a_clip_is_not_heard(page: Page, bench: str) -> None:
    """Stopping in the middle leaves the answer closed."""
    found = hear(page, bench, "await player.play(0); go(2); player.pause();")
    assert found["heard"] == [False, False]
    assert 0.4 < found["shares"][0] < 0.6


def test_parts_add_up_to_a_hearing(page: Page, bench: str) -> None:
    """Pausing and going on hears the whole clip in the end."""
    found = hear(page, bench, "await player.play(0); go(2); player.pause(); go(5); await player.play(0); go(9);")
    assert found["plays"] == [1, 0]


def test_the_end_alone_is_not_a_hearing(page: Page, bench: str) -> None:
    """Jumping to the end does not count what was jumped over."""
    found = hear(page, bench, "await player.play(0, 3); go(9);")
    assert found["heard"] == [False, False]


def test_a_loop_counts_every_round(page: Page, bench: str) -> None:
    """Each full round of a loop is one more hearing."""
    found = hear(page, bench, "player.setLoop(true); await player.play(0); go(13);")
    assert found["plays"] == [3, 0]


def test_long_clips_keep_their_place_and_short_ones_start_again(page: Page, bench: str) -> None:
    """Switching in a long clip compares the same moment; a short one is compared whole."""
    long = hear(page, bench, "await player.play(0); go(6); await player.play(1); go(6.2);", seconds=12)
    short = hear(page, bench, "await player.play(0); go(2); await player.play(1); go(2.2);", seconds=4)
    assert (long["keeps"], long["side"]) == (True, 1)
    assert long["position"] == pytest.approx(6.1, abs=0.2)
    assert short["position"] < 0.3


def test_switching_to_and_fro_hears_each_side_for_itself(page: Page, bench: str) -> None:
    """What was heard of A is never counted for B."""
    found = hear(page, bench, "await player.play(0); go(6); await player.play(1); go(20);", seconds=12)
    assert found["heard"] == [False, False]
    assert found["shares"][0] == pytest.approx(0.5, abs=0.06)
    assert found["shares"][1] == pytest.approx(0.5, abs=0.06)
