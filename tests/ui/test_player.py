"""The player's sound, without ears: the player itself is driven in an offline context and the samples are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from starlette.staticfiles import StaticFiles

from tests.ui.conftest import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LOOK = Path(__file__).parents[2] / "assets" / "ui"
RATE_HZ = 24_000
FADE = 120  # frames of 5 ms
STEEPEST_FADE = np.pi / 2 / FADE  # a raised cosine's largest step from frame to frame, as a share of the level
ONE_BIT = 1e-4  # float32 over the sum of two gains: far below a step of 16-bit audio times the fade

# Renders sides through the player: a side is a level (constant) or a ramp, whose value tells the frame that sounds.
OFFLINE = """
async ({ sides, steps, mode, seconds, rate }) => {
  const { Player } = await import("/player.js");
  const context = new OfflineAudioContext(1, seconds * rate, rate);
  const player = new Player(context);
  const events = [];
  player.onevent = (name, side, value) => events.push([name, side, value]);
  player.load(sides.map(({ level, frames, ramp, silent }) => {
    const buffer = context.createBuffer(1, frames, rate);
    const samples = buffer.getChannelData(0);
    for (let n = 0; n < frames - (silent || 0); n += 1) samples[n] = ramp ? level * (0.25 + n / 96000) : level;
    return buffer;
  }), mode);
  const seen = [];
  for (const [at, script] of steps) {
    context.suspend(at).then(() => {
      player.tick();
      new Function("player", "context", script)(player, context);
      seen.push({ started: player.startedAt, change: player.freeAt - 1 });
      context.resume();
    });
  }
  const rendered = await context.startRendering();
  player.tick(seconds * rate);
  const samples = Array.from(rendered.getChannelData(0));
  return { samples, seen, events, plays: player.plays, playing: player.playing };
}
"""


@dataclass(frozen=True)
class Rendered:
    """What came out: samples, what the player said after each step, its events."""

    samples: NDArray[np.float64]
    seen: list[dict[str, float]]
    events: list[list[Any]]
    plays: list[int]
    playing: bool

    def steepest(self) -> float:
        return float(np.abs(np.diff(self.samples)).max())

    def places(self, level: float = 1.0) -> NDArray[np.int64]:
        """For ramps: which frame of its clip sounds at each frame of the output, where no fade is."""
        return np.rint((self.samples / level - 0.25) * 96_000).astype(np.int64)


@pytest.fixture(name="bench", scope="module")
def _bench() -> Iterator[str]:
    app = FastAPI()
    app.mount("/", StaticFiles(directory=LOOK))
    with served(app) as address:
        yield address


def side(level: float, frames: int = RATE_HZ, *, ramp: bool = False, silent: int = 0) -> dict[str, Any]:
    return {"level": level, "frames": frames, "ramp": ramp, "silent": silent}


def render(
    page: Page,
    bench: str,
    sides: Sequence[dict[str, Any]],
    steps: Sequence[tuple[float, str]],
    *,
    mode: str = "continue",
    seconds: float = 1.5,
) -> Rendered:
    page.goto(f"{bench}/theme.js")
    given = {"sides": sides, "steps": steps, "mode": mode, "seconds": seconds, "rate": RATE_HZ}
    found = page.evaluate(OFFLINE, given)
    found["samples"] = np.array(found["samples"])
    return Rendered(**found)


PLAY_A, PLAY_B = "player.play(0)", "player.play(1)"


def test_playing_starts_without_a_click_at_its_exact_frame(page: Page, bench: str) -> None:
    """Nothing sounds before the start; then the level rises by the fade and no faster, and stays."""
    found = render(page, bench, [side(0.5), side(-0.5)], [(0.1, PLAY_A)])
    start = int(found.seen[0]["started"])
    assert np.abs(found.samples[: start + 1]).max() == 0
    assert found.samples[start + 1] > 0
    assert found.samples[start + FADE : start + RATE_HZ - FADE] == pytest.approx(0.5)
    assert found.steepest() <= 0.5 * STEEPEST_FADE + ONE_BIT


def test_a_clip_that_ends_loud_ends_without_a_click(page: Page, bench: str) -> None:
    """The end is faded inside the clip: its last frame is silent, and the player stands at the start again."""
    found = render(page, bench, [side(0.5)], [(0.1, PLAY_A)])
    end = int(found.seen[0]["started"]) + RATE_HZ
    assert np.abs(found.samples[end:]).max() == 0
    assert found.samples[end - FADE // 2] > 0.2
    assert found.steepest() <= 0.5 * STEEPEST_FADE + ONE_BIT
    assert not found.playing
    assert [e[0] for e in found.events] == ["play", "heard", "end"]


@pytest.mark.parametrize("mode", ["continue", "restart"])
@pytest.mark.parametrize("count", [2, 3, 8])
def test_every_side_is_reached_without_a_click_and_without_a_gap(page: Page, bench: str, count: int, mode: str) -> None:
    """Round all sides: one is heard at a time, no step is steeper than the fade, and no two frames in a row are
    silent between two sides.
    """
    levels = [0.1 * (i + 1) * (-1) ** i for i in range(count)]
    steps = [(0.1 + 0.1 * i, f"player.play({i % count})") for i in range(count + 1)]
    found = render(page, bench, [side(v, 2 * RATE_HZ) for v in levels], steps, mode=mode, seconds=1.2)
    start = int(found.seen[0]["started"])
    for i, seen in enumerate(found.seen):
        middle = int(seen["change"]) + 100
        assert found.samples[middle] == pytest.approx(levels[i % count])
    assert found.steepest() <= max(abs(v) for v in levels) * STEEPEST_FADE + ONE_BIT
    silent = found.samples[start + 1 :] == 0
    assert silent.sum() == count, "one frame between the two fades of each switch, none else"
    assert not (silent[1:] & silent[:-1]).any()


def test_a_switch_is_made_at_its_exact_frame(page: Page, bench: str) -> None:
    """The old side falls over exactly 5 ms and the new one rises from the very next frame on, each by its cosine."""
    found = render(page, bench, [side(0.5), side(-0.25)], [(0.1, PLAY_A), (0.4, PLAY_B)])
    up = int(found.seen[1]["change"]) - FADE  # where the new side begins to rise
    fall = (1 + np.cos(np.pi * np.arange(FADE + 1) / FADE)) / 2
    assert found.samples[up - FADE - 50 : up - FADE] == pytest.approx(0.5)
    assert found.samples[up - FADE : up + 1] == pytest.approx(0.5 * fall, abs=1e-6)
    assert found.samples[up : up + FADE + 1] == pytest.approx(-0.25 * fall[::-1], abs=1e-6)


@pytest.mark.parametrize("mode", ["continue", "restart"])
def test_every_transition_has_the_same_envelope(page: Page, bench: str, mode: str) -> None:
    """To the same clip under another letter, to another clip, to itself from the start: one and the same gain."""
    steps = [(0.1, PLAY_A), (0.4, PLAY_B)]
    same = render(page, bench, [side(0.5), side(0.5)], steps, mode=mode)
    other = render(page, bench, [side(0.5), side(-0.5)], steps, mode=mode)
    again = render(page, bench, [side(0.5), side(-0.5)], [(0.1, PLAY_A), (0.4, "player.restart()")], mode=mode)
    until = int(same.seen[1]["change"]) + 2000
    assert np.abs(same.samples[:until]) == pytest.approx(np.abs(other.samples[:until]), abs=0)
    assert same.samples[:until] == pytest.approx(again.samples[:until], abs=0)


def test_switching_keeps_the_frame_of_clips_in_step(page: Page, bench: str) -> None:
    """After a switch the other clip sounds at the frame where it would be had it been heard all along."""
    found = render(page, bench, [side(1, ramp=True), side(-1, ramp=True)], [(0.1, PLAY_A), (0.4, PLAY_B)])
    start, up = int(found.seen[0]["started"]), int(found.seen[1]["change"]) - FADE
    after = np.arange(up + FADE, start + RATE_HZ - FADE)
    assert (found.places(-1)[after] == after - start).all()


def test_switching_starts_again_where_the_test_says_so(page: Page, bench: str) -> None:
    """In restart mode the new side begins with its first frame as it rises."""
    sides = [side(1, ramp=True), side(-1, ramp=True)]
    found = render(page, bench, sides, [(0.1, PLAY_A), (0.4, PLAY_B)], mode="restart", seconds=1)
    up = int(found.seen[1]["change"]) - FADE
    after = np.arange(up + FADE, RATE_HZ - 1)
    assert (found.places(-1)[after] == after - up).all()


def test_unequal_clips_go_on_at_the_same_share_of_their_speech(page: Page, bench: str) -> None:
    """Half of what is spoken in one clip is half of what is spoken in the other; padding counts for nothing."""
    sides = [side(1, RATE_HZ, ramp=True), side(-1, RATE_HZ, ramp=True, silent=RATE_HZ // 4)]
    found = render(page, bench, sides, [(0.1, PLAY_A), (0.5, PLAY_B)], seconds=1)
    start, up = int(found.seen[0]["started"]), int(found.seen[1]["change"]) - FADE
    after = np.arange(up + FADE, up + FADE + 4000)
    assert (found.places(-1)[after] == round((up - start) * 0.75) + after - up).all()


def test_all_sides_start_at_one_instant(page: Page, bench: str) -> None:
    """Whatever their lengths, all sources of a stretch are started at the same time of the one clock."""
    page.goto(f"{bench}/theme.js")
    page.evaluate(
        """() => {
          window.starts = [];
          const start = AudioBufferSourceNode.prototype.start;
          AudioBufferSourceNode.prototype.start = function (...given) {
            window.starts.push(given);
            start.apply(this, given);
          };
        }"""
    )
    given = {"sides": [side(0.1, 9000 + 1000 * i) for i in range(8)], "steps": [(0.1, PLAY_A)]}
    page.evaluate(OFFLINE, given | {"mode": "continue", "seconds": 1, "rate": RATE_HZ})
    starts = page.evaluate("window.starts")
    assert len(starts) == 8
    assert len({at for at, _ in starts}) == 1


def test_a_loop_has_no_seam(page: Page, bench: str) -> None:
    """A looping clip begins again at the very next frame, with the very first sample."""
    found = render(page, bench, [side(1, 6000, ramp=True)], [(0.1, "player.setLoop(true); player.play(0)")])
    start = int(found.seen[0]["started"])
    after = np.arange(start + FADE, start + 4 * 6000)
    assert (found.places()[after] == (after - start) % 6000).all()
    assert found.plays == [5]


def test_a_region_loops_without_a_seam_on_every_side(page: Page, bench: str) -> None:
    """Between its bounds the loop runs to the frame, from either side and after a switch."""
    loop = "player.setRegion('from', 0.25); player.setRegion('to', 0.625); player.setLoop(true); player.play(0)"
    sides = [side(1, ramp=True), side(-1, ramp=True)]
    found = render(page, bench, sides, [(0.1, loop), (1.0, PLAY_B)], seconds=2)
    start, up = int(found.seen[0]["started"]), int(found.seen[1]["change"]) - FADE
    before, after = np.arange(start + FADE, up - FADE), np.arange(up + FADE, 2 * RATE_HZ)
    assert (found.places()[before] == 6000 + (before - start) % 9000).all()
    assert (found.places(-1)[after] == 6000 + (after - start) % 9000).all()
    assert found.plays == [0, 0], "a part of a clip is not the clip"


def test_a_loop_can_be_begun_near_the_end(page: Page, bench: str) -> None:
    """A bound that leaves no room for a loop is moved as far as one needs, and the act is told like any other."""
    bounds = [(0.2, "player.setRegion('from', 0.99)"), (0.3, "player.setRegion('to', 0.01)")]
    found = render(page, bench, [side(0.5)], [(0.1, PLAY_A), *bounds])
    told = [(name, value) for name, _, value in found.events if name.startswith("loop")]
    assert told == [("loop_start", pytest.approx(0.7)), ("loop_end", pytest.approx(0.3))]


def test_a_seek_is_exact(page: Page, bench: str) -> None:
    """Seeking while it plays goes to the frame that was asked for; seeking while it stands plays from there."""
    steps = [(0.1, PLAY_A), (0.4, "player.seekTo(0.5)"), (0.6, "player.pause()"), (0.8, "player.seekTo(0.25)")]
    found = render(page, bench, [side(1, ramp=True)], [*steps, (0.9, PLAY_A)])
    first, second = int(found.seen[1]["started"]), int(found.seen[4]["started"])
    assert found.places()[first + FADE : first + FADE + 500].tolist() == list(range(12000 + FADE, 12000 + FADE + 500))
    assert found.places()[second + FADE : second + FADE + 500].tolist() == list(range(6000 + FADE, 6000 + FADE + 500))


def test_a_pause_goes_on_where_it_was(page: Page, bench: str) -> None:
    """What was faded out is not skipped: the first frame after a pause is the one after the last that sounded."""
    found = render(page, bench, [side(1, ramp=True)], [(0.1, PLAY_A), (0.4, "player.pause()"), (0.6, PLAY_A)])
    start, pause, again = (int(found.seen[i][k]) for i, k in ((0, "started"), (1, "change"), (2, "started")))
    assert np.abs(found.samples[pause : again + 1]).max() == 0
    assert found.places()[again + FADE] == pause - start + FADE
    assert found.steepest() <= 0.6 * STEEPEST_FADE + ONE_BIT


def test_however_fast_the_keys_no_fade_is_cut_off(page: Page, bench: str) -> None:
    """Switches asked for within one fade wait for each other: no step is steeper than a fade's."""
    steps = [(0.1 + 128 * i / RATE_HZ, f"player.play({i % 2})") for i in range(12)]
    found = render(page, bench, [side(0.5), side(-0.5)], steps)
    assert found.steepest() <= 0.5 * STEEPEST_FADE + ONE_BIT
    burst = render(
        page, bench, [side(0.5), side(-0.5)], [(0.1, "player.play(0); " + "player.play(1); player.play(0);" * 4)]
    )
    assert burst.steepest() <= 0.5 * STEEPEST_FADE + ONE_BIT


@pytest.mark.parametrize("place", [0.99, 1.0, 7.0, -3.0])
def test_seeking_to_the_edge_makes_no_click(page: Page, bench: str, place: float) -> None:
    """A place at or past an end is brought inside, with room for both fades."""
    found = render(page, bench, [side(0.5)], [(0.1, PLAY_A), (0.3, f"player.seekTo({place})")])
    assert found.steepest() <= 0.5 * STEEPEST_FADE + ONE_BIT


def test_the_player_says_what_was_done(page: Page, bench: str) -> None:
    """Every act is an event with its side and its place, for the answer's record."""
    steps = [
        (0.1, PLAY_A),
        (0.3, PLAY_B),
        (0.5, "player.seekTo(0.25)"),
        (0.6, "player.setRegion('from', 0.5)"),
        (0.7, "player.setLoop(true)"),
        (0.8, "player.pause()"),
    ]
    found = render(page, bench, [side(0.5), side(-0.5)], steps)
    names = [(name, on) for name, on, _ in found.events]
    assert names == [("play", 0), ("switch", 1), ("seek", 1), ("loop_start", 1), ("loop", 1), ("pause", 1)]
    assert found.events[2][2] == pytest.approx(0.25)


# ------------------------------------------------------------------------------------------------- what was heard of it
HEARD = """
async ({ seconds, mode, script }) => {
  const { Player } = await import("/player.js");
  const param = () => ({ value: 1, setValueAtTime() {}, setValueCurveAtTime() {}, setTargetAtTime() {} });
  const context = { currentTime: 0, state: "running", destination: null, sampleRate: 24000, baseLatency: 0.01,
    createBufferSource: () => ({ connect: (to) => to, start() {}, stop() {} }),
    createGain: () => ({ connect: (to) => to, gain: param() }) };
  const length = seconds * 24000;
  const buffer = { length, getChannelData: () => new Float32Array(length).fill(1) };
  const player = new Player(context);
  player.load([buffer, buffer], mode);
  const go = (to) => { while (context.currentTime < to) { context.currentTime += 0.02; player.tick(); } };
  new Function("player", "go", script)(player, go);
  return { heard: [player.heard(0), player.heard(1)], plays: player.plays, side: player.side, playing: player.playing,
    share: player.share(player.side), shares: [player.heardShare(0), player.heardShare(1)] };
}
"""


def hear(page: Page, bench: str, script: str, *, seconds: float = 4, mode: str = "continue") -> dict[str, Any]:
    page.goto(f"{bench}/theme.js")
    return page.evaluate(HEARD, {"seconds": seconds, "mode": mode, "script": script})  # type: ignore[no-any-return]


def test_a_side_is_heard_when_it_was_played_to_its_end(page: Page, bench: str) -> None:
    """One play from start to end is one hearing of that side and of no other."""
    found = hear(page, bench, "player.play(0); go(10);")
    assert found["heard"] == [True, False]
    assert found["plays"] == [1, 0]
    assert not found["playing"]


def test_half_a_clip_is_not_heard(page: Page, bench: str) -> None:
    """Stopping in the middle leaves the answer closed."""
    found = hear(page, bench, "player.play(0); go(2); player.pause();")
    assert found["heard"] == [False, False]
    assert found["shares"][0] == pytest.approx(0.5, abs=0.02)


def test_parts_add_up_to_a_hearing(page: Page, bench: str) -> None:
    """Pausing and going on hears the whole clip in the end."""
    found = hear(page, bench, "player.play(0); go(2); player.pause(); go(5); player.play(0); go(9);")
    assert found["plays"] == [1, 0]


def test_the_end_alone_is_not_a_hearing(page: Page, bench: str) -> None:
    """Jumping to the end does not count what was jumped over."""
    found = hear(page, bench, "player.seekTo(0.75); player.play(0); go(9);")
    assert found["heard"] == [False, False]
    assert found["shares"][0] == pytest.approx(0.25, abs=0.02)


def test_a_loop_counts_every_round(page: Page, bench: str) -> None:
    """Each full round of a loop is one more hearing."""
    found = hear(page, bench, "player.setLoop(true); player.play(0); go(13);")
    assert found["plays"] == [3, 0]


def test_the_test_says_what_a_switch_does_to_the_place(page: Page, bench: str) -> None:
    """Going on compares the same moment; starting again compares the whole."""
    going_on = hear(page, bench, "player.play(0); go(2); player.play(1); go(2.2);")
    again = hear(page, bench, "player.play(0); go(2); player.play(1); go(2.2);", mode="restart")
    assert (going_on["side"], again["side"]) == (1, 1)
    assert going_on["share"] == pytest.approx(2.2 / 4, abs=0.02)
    assert again["share"] < 0.06


def test_switching_to_and_fro_hears_each_side_for_itself(page: Page, bench: str) -> None:
    """What was heard of A is never counted for B."""
    found = hear(page, bench, "player.play(0); go(6); player.play(1); go(20);", seconds=12)
    assert found["heard"] == [False, False]
    assert found["shares"] == pytest.approx([0.5, 0.5], abs=0.02)
