/* Plays clips of one line from one place: going to another cell keeps the line and the place in it. Decoded sound is kept,
   so that a switch between two cells that were heard, or lie beside one another, has no gap.
   Knows sound; knows nothing of cells. */

const KEPT = 24; // decoded clips
const FADE_SEC = 0.008;

export class Player {
  constructor(onChange) {
    this.onChange = onChange;
    this.buffers = new Map(); // clip id -> promise of an AudioBuffer, the latest last
    this.clip = "";
    this.place = 0; // share of the clip, while nothing plays
    this.playing = false;
    this.turn = 0;
  }

  context() {
    this.audio = this.audio || new AudioContext();
    return this.audio;
  }

  load(clip) {
    const known = this.buffers.get(clip);
    this.buffers.delete(clip);
    const made =
      known ||
      fetch(`/clips/${encodeURIComponent(clip)}`)
        .then((reply) => {
          if (!reply.ok) throw new Error("This clip cannot be heard: its file is not there.");
          return reply.arrayBuffer();
        })
        .then((bytes) => this.context().decodeAudioData(bytes));
    made.catch(() => this.buffers.delete(clip));
    this.buffers.set(clip, made);
    while (this.buffers.size > KEPT) this.buffers.delete(this.buffers.keys().next().value);
    return made;
  }

  /* Another clip; goes on playing from the same share of it. */
  async show(clip) {
    const share = this.share();
    const mine = ++this.turn;
    this.clip = clip;
    this.place = share >= 1 ? 0 : share;
    const buffer = await this.load(clip).catch((error) => {
      if (mine === this.turn) this.stop(0); // what sounds is the clip before
      throw error;
    });
    if (mine !== this.turn) return null;
    if (this.playing) this.start(buffer, this.place);
    this.onChange();
    return buffer;
  }

  async play(share = this.share() >= 0.999 ? 0 : this.share()) {
    if (!this.clip) return;
    await this.context().resume();
    const mine = ++this.turn;
    const buffer = await this.load(this.clip);
    if (mine !== this.turn) return;
    this.playing = true;
    this.start(buffer, share);
    this.onChange();
  }

  start(buffer, share) {
    this.fade();
    const source = this.context().createBufferSource();
    const gain = this.context().createGain();
    source.buffer = buffer;
    source.connect(gain).connect(this.context().destination);
    const now = this.context().currentTime;
    gain.gain.setValueAtTime(0, now);
    gain.gain.linearRampToValueAtTime(1, now + FADE_SEC);
    source.start(0, share * buffer.duration);
    source.onended = () => {
      if (this.node && this.node.source === source && this.playing) this.stop(1);
    };
    this.node = { source, gain, buffer, begun: now - share * buffer.duration };
  }

  fade() {
    if (!this.node) return;
    const { source, gain } = this.node;
    const now = this.context().currentTime;
    source.onended = null;
    gain.gain.cancelScheduledValues(now);
    gain.gain.setValueAtTime(gain.gain.value, now);
    gain.gain.linearRampToValueAtTime(0, now + FADE_SEC);
    source.stop(now + 2 * FADE_SEC);
    this.node = null;
  }

  pause() {
    this.stop(this.share());
  }

  stop(place) {
    this.turn += 1;
    this.fade();
    this.place = place;
    this.playing = false;
    this.onChange();
  }

  toggle() {
    if (!this.playing) return this.play();
    this.pause();
    return Promise.resolve();
  }

  seek(share) {
    const place = Math.min(1, Math.max(0, share));
    if (this.playing) return this.play(place);
    this.place = place;
    this.onChange();
    return Promise.resolve();
  }

  share() {
    if (!this.playing || !this.node) return this.place;
    return Math.min(1, (this.context().currentTime - this.node.begun) / this.node.buffer.duration);
  }
}

/* The wave as bars: the shape of an SVG path over `columns`, 0..100 high. */
export function bars(buffer, columns = 160) {
  const samples = buffer.getChannelData(0);
  const step = samples.length / columns;
  const peaks = [];
  for (let column = 0; column < columns; column += 1) {
    let top = 0;
    for (let i = Math.floor(column * step); i < (column + 1) * step && i < samples.length; i += 3) top = Math.max(top, Math.abs(samples[i]));
    peaks.push(top);
  }
  const loudest = Math.max(0.02, ...peaks);
  return peaks.map((peak, column) => {
    const half = Math.max(1.2, (46 * peak) / loudest);
    return `M${column * 4} ${50 - half}h2.4v${2 * half}h-2.4z`;
  }).join("");
}
