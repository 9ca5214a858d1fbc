/* Decoded audio by token: fetched and decoded once, the next trial's ahead of time. Knows tokens, and not what is behind them. */

export class Sounds {
  constructor(context, fetchBytes) {
    this.context = context;
    this.fetchBytes = fetchBytes;
    this.kept = new Map();
  }

  of(token) {
    if (!this.kept.has(token)) {
      const decoded = this.fetchBytes(token).then((bytes) => this.context.decodeAudioData(bytes));
      decoded.catch(() => this.kept.delete(token));
      this.kept.set(token, decoded);
    }
    return this.kept.get(token);
  }

  all(tokens) { return Promise.all(tokens.map((token) => this.of(token))); }

  /* Fetch these in the background, and let go of everything but them and `current`. */
  prepare(upcoming, current) {
    const wanted = new Set([...upcoming, ...current]);
    for (const token of this.kept.keys()) if (!wanted.has(token)) this.kept.delete(token);
    this.all(upcoming).catch(() => {});   // it is asked for again when it is needed
  }
}
