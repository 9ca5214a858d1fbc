/* Sample-synchronous playing of the sides of a trial over Web Audio.
   Knows buffers, gains and time; knows no page and no trial. All sides start at the same instant of one clock and only their
   gains differ, so switching cannot drift; every switch, start and stop uses the same short fade, also from a side to itself. */

export const FADE_SEC = 0.012;   // out, then in: long enough not to click, too short to hear as a gap
const LEAD_SEC = 0.05;           // so that every source has been scheduled before the first one starts
const BINS = 64;                 // how finely "heard" is kept
export const KEEP_PLACE_SEC = 8; // clips at least this long keep their place at a switch; shorter ones start again

/* Fade `gain` out (to 0) or in (to 1) with half a raised cosine that begins at `at`. */
export function fade(gain, from, to, at, seconds = FADE_SEC) {
  const curve = new Float32Array(33);
  for (let i = 0; i < curve.length; i += 1) {
    const share = (1 - Math.cos((Math.PI * i) / (curve.length - 1))) / 2;
    curve[i] = from + (to - from) * share;
  }
  gain.setValueCurveAtTime(curve, at, seconds);
}

/* The graph of one stretch of playing: every buffer starts at `at` from its own offset; only `side` is audible. */
export function schedule(context, buffers, { side, at, offsets, loop, destination }) {
  return buffers.map((buffer, index) => {
    const source = context.createBufferSource();
    const gain = context.createGain();
    source.buffer = buffer;
    source.loop = loop;
    gain.gain.setValueAtTime(0, 0);
    if (index === side) fade(gain.gain, 0, 1, at);
    source.connect(gain).connect(destination);
    source.start(at, offsets[index]);
    return { source, gain };
  });
}

/* Where each side stands when `side` is at `seconds`: the same share of its length, so that unequal clips stay together. */
export function proportional(buffers, side, seconds) {
  const share = buffers[side].duration ? seconds / buffers[side].duration : 0;
  return buffers.map((buffer) => share * buffer.duration);
}

export class Player {
  constructor(context) {
    this.context = context;
    this.buffers = [];
    this.voices = [];
    this.side = 0;
    this.loop = false;
    this.playing = false;
    this.startedAt = 0;   // context time at which the current stretch began
    this.offset = 0;      // seconds into the audible side at that time
    this.heardBins = [];
    this.plays = [];
    this.onend = () => {};
  }

  /* Decode every side; nothing can be played before all of them are ready. */
  async load(bytes) {
    this.stop();
    const decoded = await Promise.all(bytes.map((b) => this.context.decodeAudioData(b)));
    this.buffers = decoded;
    this.side = 0;
    this.offset = 0;
    this.heardBins = decoded.map(() => new Array(BINS).fill(false));
    this.plays = decoded.map(() => 0);
  }

  get keepsPlace() {
    return this.buffers.length > 1 && Math.max(...this.buffers.map((b) => b.duration)) >= KEEP_PLACE_SEC;
  }

  /* Seconds into the audible side. */
  position() {
    if (!this.buffers.length) return 0;
    const length = this.buffers[this.side].duration;
    if (!this.playing) return Math.min(this.offset, length);
    const at = this.offset + Math.max(0, this.context.currentTime - this.startedAt);
    return this.loop ? at % length : Math.min(at, length);
  }

  share(side) {
    if (side === this.side) return this.position() / (this.buffers[side].duration || 1);
    return 0;
  }

  /* The share of a side that was audible at some time, 0 to 1. */
  heardShare(side) {
    if (this.heard(side)) return 1;
    const bins = this.heardBins[side] || [];
    return bins.length ? bins.filter(Boolean).length / bins.length : 0;
  }

  heard(side) {
    return this.plays[side] > 0;
  }

  /* Call this at every animation frame: it marks what is being heard and notices the end. */
  tick() {
    if (!this.playing) return;
    this._mark();
    const length = this.buffers[this.side].duration;
    if (!this.loop && this.context.currentTime - this.startedAt + this.offset >= length) {
      this.stop();
      this.offset = 0;
      this.onend(this.side);
    }
  }

  async play(side = this.side, from = null) {
    if (!this.buffers.length) return;
    if (this.context.state === "suspended") await this.context.resume();
    if (this.playing) this._mark();
    if (this.playing && from === null && side !== this.side && this.keepsPlace && this._sameLength()) {
      this._crossTo(side);
      return;
    }
    const place = from ?? this._place(side);
    this._silence();
    this.side = side;
    const lead = this.voices.length ? FADE_SEC : 0; // the old side fades out first
    const at = this.context.currentTime + LEAD_SEC + lead;
    const offsets = proportional(this.buffers, side, Math.min(place, this.buffers[side].duration));
    this.voices = schedule(this.context, this.buffers, { side, at, offsets, loop: this.loop, destination: this.context.destination });
    this.startedAt = at;
    this.offset = offsets[side];
    this.lastMark = this.offset;
    this.playing = true;
  }

  pause() {
    if (!this.playing) return;
    this._mark();
    this.offset = this.position();
    this.stop();
  }

  stop() {
    this._silence();
    this.voices = [];
    this.playing = false;
  }

  restart() {
    return this.play(this.side, 0);
  }

  seek(seconds) {
    const to = Math.min(Math.max(0, this.position() + seconds), this.buffers[this.side].duration - 0.05);
    if (this.playing) return this.play(this.side, to);
    this.offset = Math.max(0, to);
    return undefined;
  }

  setLoop(loop) {
    this.loop = loop;
    if (this.playing) return this.play(this.side, this.position());
    return undefined;
  }

  _sameLength() {
    return this.buffers.every((b) => b.length === this.buffers[0].length);
  }

  /* All sides run in step already: fade the old one out, then the new one in. */
  _crossTo(side) {
    const now = this.context.currentTime;
    const ramp = (index, to, at) => {
      const { gain } = this.voices[index].gain;
      const level = gain.value;
      gain.cancelScheduledValues(now);
      fade(gain, level, to, at);
    };
    ramp(this.side, 0, now);
    ramp(side, 1, now + FADE_SEC);
    this.side = side;
  }

  _place(side) {
    if (side === this.side) return this.playing ? this.position() : this.offset;
    if (!this.keepsPlace) return 0;
    const here = this.playing ? this.position() : this.offset;
    return proportional(this.buffers, this.side, here)[side];
  }

  _silence() {
    const now = this.context.currentTime;
    this.voices.forEach(({ source, gain }, index) => {
      if (index === this.side) {
        const level = gain.gain.value;
        gain.gain.cancelScheduledValues(now);
        fade(gain.gain, level, 0, now);
      }
      source.stop(now + FADE_SEC + 0.005);
    });
  }

  /* Mark the bins between the last tick and now; once all are marked the side counts as heard and is counted anew. */
  _mark() {
    const length = this.buffers[this.side].duration;
    const bins = this.heardBins[this.side];
    const raw = this.offset + Math.max(0, this.context.currentTime - this.startedAt);
    const now = this.loop ? raw : Math.min(raw, length);
    const last = Math.floor((Math.max(0, now - 1e-6) / length) * BINS);
    for (let i = Math.floor((this.lastMark / length) * BINS); i <= last; i += 1) bins[i % BINS] = true;
    this.lastMark = now;
    if (bins.every(Boolean)) {
      this.plays[this.side] += 1;
      bins.fill(false);
    }
  }
}
