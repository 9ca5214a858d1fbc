/* Plays the sides of a trial in step and switches between them.
   Knows buffers, sides, places and what was heard; knows no page and no trial. One audio context, one clock: all sides of a
   stretch start at one frame, and every switch, seek, start and stop is made at an exact frame with the same fades, from a
   side to itself too (docs/decisions/021-every-switch-sounds-the-same.md). Places are frames of the audible side. */

import { connect, cross, end, fadeFrames, start } from "./player_graph.js";
import { Heard } from "./player_heard.js";

const MARGIN_SEC = 0.003;       // between reading the clock and the audio thread's seeing the change
const LATEST_LEAD_SEC = 0.05;   // no device has needed more
const HEARD_SLACK_SEC = 0.06;
const SHORTEST_LOOP_SEC = 0.3;
const QUANTUM = 128;            // frames that a context renders at once
const MOST_ATTEMPTS = 4;
const SILENT_BELOW = 0.001;     // -60 dBFS: above the dither of the padding, below any speech

/* Frames up to the last one that is not silence: what "the same place" means for clips that speak at different speeds. */
export function spoken(buffer) {
  const samples = buffer.getChannelData(0);
  let last = samples.length;
  while (last > 0 && Math.abs(samples[last - 1]) < SILENT_BELOW) last -= 1;
  return last || samples.length;
}

/* The frame of every side that is at the same share of its speech as `frame` of `side`. */
export function inStep(lengths, side, frame) {
  return lengths.map((length) => (length === lengths[side] ? frame : Math.round((frame * length) / lengths[side])));
}

export class Player {
  constructor(context, destination = context.destination) {
    this.context = context;
    this.master = context.createGain();
    this.master.connect(destination);
    this.lead = Math.max(context.baseLatency || 0, (2 * QUANTUM) / context.sampleRate) + MARGIN_SEC;
    this.mode = "restart";    // or "continue": what a switch does to the place
    this.onevent = () => {};  // (name, side, value)
    this.load([]);
  }

  /* Take the decoded sides of the next trial. */
  load(buffers, mode = this.mode) {
    if (this.voices) this._silence();
    this.buffers = buffers;
    this.mode = mode;
    this.lengths = buffers.map(spoken);
    this.heards = buffers.map((b) => new Heard(b.length, HEARD_SLACK_SEC * this.context.sampleRate));
    this.side = 0;
    this.place = 0;           // where the audible side stands while nothing plays
    this.loop = false;
    this.region = null;       // {from, to} as shares of the speech, or null: the whole clip
    this.voices = null;       // what sounds now
    this.freeAt = 0;          // the frame at which the last change will be over
  }

  get playing() { return this.voices !== null; }
  get plays() { return this.heards.map((h) => h.rounds); }

  setVolume(share) { this.master.gain.setTargetAtTime(share, this.context.currentTime, 0.01); }

  heard(side) { return this.heards[side].rounds > 0; }
  heardShare(side) { return this.heard(side) ? 1 : this.heards[side].share; }

  /* The frame at which the audible side stands, at the frame `now` of the clock. */
  frame(now = this._now()) {
    if (!this.playing) return this.place;
    const at = this.from[this.side] + Math.max(0, now - this.startedAt);
    const loop = this.loops[this.side];
    if (loop && at >= loop.to) return loop.from + ((at - loop.from) % (loop.to - loop.from));
    return Math.min(at, this.buffers[this.side].length);
  }

  /* How far a side has come, 0 to 1; a side that is not audible has not come anywhere. */
  share(side) {
    return side === this.side && this.buffers.length ? this.frame() / this.buffers[side].length : 0;
  }

  /* Play a side: from where it stands, or after a switch from the start or from the same place, as the test says. */
  play(side = this.side) {
    if (side >= this.buffers.length) return;
    const switched = side !== this.side;
    this._go(side, (now) => {
      const here = this.frame(now);
      if (!switched) return here >= this.buffers[side].length ? 0 : here;
      return this.mode === "continue" ? inStep(this.lengths, this.side, here)[side] : 0;
    });
    this.onevent(switched ? "switch" : "play", side, this.share(side));
  }

  pause() {
    if (!this.playing) return;
    const change = this._nextFrame();
    const silent = change + fadeFrames(this.context.sampleRate);
    this.tick(silent);
    if (!this.playing) return;  // it came to its end meanwhile
    this.place = this.frame(silent);
    this._silence(change);
    this.onevent("pause", this.side, this.share(this.side));
  }

  restart() {
    this._go(this.side, () => 0);  // or where the loop starts
    this.onevent("restart", this.side, 0);
  }

  /* Move the place by seconds; it goes on playing when it played. */
  seek(seconds) { this.seekTo(this.share(this.side) + (seconds * this.context.sampleRate) / this.buffers[this.side].length); }

  seekTo(share) {
    const { length } = this.buffers[this.side];
    const to = this._within(Math.round(share * length), null, this.side);
    if (this.playing) this._go(this.side, () => to);
    else this.place = to;
    this.onevent("seek", this.side, to / length);
  }

  /* Loop the region, or the whole clip where there is none; or play to the end again. */
  setLoop(loop) {
    this.loop = loop;
    if (this.playing) this._go(this.side, (now) => this.frame(now));
    this.onevent("loop", this.side, Number(loop));
  }

  /* Set the loop's start or end ("from" or "to") to a share of the audible side, here by default; null takes both away. */
  setRegion(which, share = this.share(this.side)) {
    if (which === null) this.region = null;
    else {
      const own = (share * this.buffers[this.side].length) / this.lengths[this.side];
      const shortest = (SHORTEST_LOOP_SEC * this.context.sampleRate) / this.lengths[this.side];
      const whole = this.buffers[this.side].length / this.lengths[this.side];
      let { from, to } = { from: 0, to: whole, ...this.region };
      if (which === "from") {  // a bound so late that no loop would fit is moved as far as one needs
        from = Math.max(0, Math.min(own, 1 - shortest));
        if (to - from < shortest) to = whole;
      } else {
        to = Math.min(whole, Math.max(own, shortest));
        if (to - from < shortest) from = 0;
      }
      this.region = { from, to };
    }
    if (this.loop && this.playing) this._go(this.side, (now) => this.frame(now));
    const event = which === null ? "loop_whole" : which === "from" ? "loop_start" : "loop_end";
    this.onevent(event, this.side, which === null ? 0 : this.regionShare()[which]);
  }

  /* The region as shares of the audible side's clip, for drawing it. */
  regionShare() {
    if (!this.region) return null;
    const scale = this.lengths[this.side] / this.buffers[this.side].length;
    return { from: Math.min(1, this.region.from * scale), to: Math.min(1, this.region.to * scale) };
  }

  /* Call this at every animation frame: it notes what was heard and notices the end. */
  tick(now = this._now()) {
    if (!this.playing) return;
    this._mark(now);
    if (!this.loops[this.side] && now - this.startedAt + this.from[this.side] >= this.buffers[this.side].length) {
      this.voices = null;
      this.place = 0;
      this.onevent("end", this.side, 1);
    }
  }

  stop() {
    if (this.playing) this._silence();
    this.place = 0;
  }

  /* ------------------------------------------------------------------------------------------------------------ inside */
  _now() { return Math.round(this.context.currentTime * this.context.sampleRate); }

  /* The first frame at which a change can be made: soon, but after what was changed before, so that no fade is cut off. */
  _nextFrame() {
    return Math.max(Math.ceil((this.context.currentTime + this.lead) * this.context.sampleRate), this.freeAt);
  }

  /* Let `side` sound from the place that `placeAt(frame)` names, whether or not anything sounds now. */
  _go(side, placeAt) {
    if (this.playing) this._change(side, placeAt);
    else this._begin(side, placeAt);
    this.side = side;
    this.marked = this.audibleAt;
    this.freeAt = this.marked + fadeFrames(this.context.sampleRate) + 1;
  }

  /* Out of silence there is nothing to fade, so it begins with the next frames. Should those be rendered while the voices are being
     made, they are made again: nothing was connected yet. */
  _begin(side, placeAt) {
    for (let attempt = 1; ; attempt += 1) {
      const frame = Math.max(this._now() + attempt * QUANTUM, this.freeAt);
      this._start(side, frame, placeAt(frame));
      if (this._now() < frame || attempt === MOST_ATTEMPTS) break;
    }
    connect(this.voices, this.master);
  }

  /* From one side to another, or to another place: the old side goes down first. */
  _change(side, placeAt) {
    const change = this._nextFrame();
    const at = change + fadeFrames(this.context.sampleRate);
    this._mark(at);
    const place = this._within(placeAt(at), this._loops()[side], side);
    if (side !== this.side && this._runsAt(side, place, at)) {
      cross(this.context, this.voices, this.side, side, change);
      this.audibleAt = at;
    } else {
      end(this.context, this.voices, this.side, change);
      this._start(side, at, place);
      connect(this.voices, this.master);
    }
    this._learn(change);
  }

  _start(side, frame, place) {
    this.loops = this._loops();
    this.from = inStep(this.lengths, side, this._within(place, this.loops[side], side)).map((f, i) => this._within(f, this.loops[i], i));
    this.startedAt = frame;
    this.audibleAt = frame;
    this.voices = start(this.context, this.buffers, { frame, from: this.from, loops: this.loops, side });
  }

  /* True when a side that is not audible stands at exactly that place already. */
  _runsAt(side, place, at) {
    const loop = this.loops[side];
    const own = this._loops()[side];
    if (loop?.from !== own?.from || loop?.to !== own?.to) return false;
    const there = this.from[side] + at - this.startedAt;
    return !loop && there === place;
  }

  _silence(frame = this._nextFrame()) {
    end(this.context, this.voices, this.side, frame);
    this.voices = null;
    this.freeAt = frame + fadeFrames(this.context.sampleRate) + 1;
  }

  _loops() {
    if (!this.loop) return this.buffers.map(() => null);
    return this.buffers.map((buffer, i) => (this.region
      ? { from: Math.round(this.region.from * this.lengths[i]), to: Math.min(buffer.length, Math.round(this.region.to * this.lengths[i])) }
      : { from: 0, to: buffer.length }));
  }

  /* A place that can be started from: inside the loop, or with room for both fades before the end. */
  _within(place, loop, side) {
    if (loop) return place >= loop.from && place < loop.to ? place : loop.from;
    return Math.max(0, Math.min(place, this.buffers[side].length - 3 * fadeFrames(this.context.sampleRate)));
  }

  /* A change that came too late for its frame needs a longer lead next time. */
  _learn(frame) {
    if (this._now() > frame) this.lead = Math.min(LATEST_LEAD_SEC, this.lead * 1.5);
  }

  _mark(now) {
    const loop = this.loops[this.side];
    const begin = this.from[this.side] - this.startedAt;   // clock frames to places, before any loop
    let from = Math.max(this.marked, this.startedAt);
    const stop = Math.max(from, now);
    while (from < stop) {
      const raw = from + begin;
      const place = loop && raw >= loop.to ? loop.from + ((raw - loop.from) % (loop.to - loop.from)) : raw;
      const room = (loop ? loop.to : this.buffers[this.side].length) - place;
      const step = Math.min(stop - from, room);
      if (step <= 0) break;
      if (this.heards[this.side].add(place, place + step)) this.onevent("heard", this.side, this.heards[this.side].rounds);
      from += step;
    }
    this.marked = stop;
  }
}
