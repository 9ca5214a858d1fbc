/* The sound of one stretch of playing, on any audio context: sources, gains and the frames at which they change.
   Knows buffers and frames; knows no state, no page and no trial. Every change, to whatever side, is the same: 5 ms down, then
   5 ms up, each half a raised cosine, and the second begins at the very frame at which the first ends. */

export const FADE_SEC = 0.005;  // long enough not to click, too short to be heard as a gap

export const fadeFrames = (rate) => Math.round(FADE_SEC * rate);

/* Half a raised cosine with one value a frame, both ends included. Its steepest step is pi / (2 * frames). */
export function fadeCurve(frames, rising) {
  const curve = new Float32Array(frames + 1);
  for (let i = 0; i <= frames; i += 1) {
    const share = (1 - Math.cos((Math.PI * i) / frames)) / 2;
    curve[i] = rising ? share : 1 - share;
  }
  return curve;
}

/* Fade a gain that stands at 0 (rising) or 1 (falling) at exactly `frame`; it is at the other end `fadeFrames` later. */
export function fade(param, frame, rising, rate) {
  const frames = fadeFrames(rate);
  param.setValueCurveAtTime(fadeCurve(frames, rising), frame / rate, frames / rate);
}

function voice(context, buffer, { frame, from, loop, audible }) {
  const rate = context.sampleRate;
  const source = context.createBufferSource();
  const edge = context.createGain();   // up at the start of the stretch, down at the end of the clip
  const gain = context.createGain();   // which side is heard
  source.buffer = buffer;
  if (loop) {
    source.loop = true;
    source.loopStart = loop.from / rate;
    source.loopEnd = loop.to / rate;
  }
  edge.gain.setValueAtTime(0, 0);
  fade(edge.gain, frame, true, rate);
  const end = frame + buffer.length - from - fadeFrames(rate);
  if (!loop && end > frame + fadeFrames(rate)) fade(edge.gain, end, false, rate);
  gain.gain.setValueAtTime(audible ? 1 : 0, 0);
  source.connect(edge).connect(gain);
  source.start(frame / rate, from / rate);
  return { source, gain };
}

/* Start every buffer at `frame`, each from its own frame of `from`; only `side` is audible. `loops` has the frames
   {from, to} of a side's loop, or null where it plays to its end. Nothing sounds before the voices are connected. */
export function start(context, buffers, { frame, from, loops, side }) {
  return buffers.map((buffer, i) => voice(context, buffer, { frame, from: from[i], loop: loops[i], audible: i === side }));
}

export const connect = (voices, destination) => voices.forEach(({ gain }) => gain.connect(destination));

/* Silence the audible side of a stretch from `frame` on and let go of all of it. */
export function end(context, voices, side, frame) {
  const rate = context.sampleRate;
  fade(voices[side].gain.gain, frame, false, rate);
  voices.forEach(({ source }) => source.stop((frame + fadeFrames(rate)) / rate));
}

/* Go over to a side that runs in step already: the old one down from `frame`, the new one up from the end of that. */
export function cross(context, voices, side, to, frame) {
  const rate = context.sampleRate;
  fade(voices[side].gain.gain, frame, false, rate);
  fade(voices[to].gain.gain, frame + fadeFrames(rate), true, rate);
}
