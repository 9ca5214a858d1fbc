/* How much of one clip was audible: the union of the stretches that were played, in frames.
   Knows numbers alone. A clip counts as heard once all of it was audible, in whatever order; then it is counted anew. */

export class Heard {
  constructor(length, slack) {
    this.length = length;
    this.slack = slack;     // frames that may be missing in all: what fades and switches swallow
    this.rounds = 0;        // how often all of it was heard
    this.stretches = [];    // [from, to), sorted, apart from one another
  }

  get share() {
    if (!this.length) return 0;
    return this.stretches.reduce((sum, [from, to]) => sum + to - from, 0) / this.length;
  }

  /* Add the stretch [from, to); true when that completed a round. */
  add(from, to) {
    if (to <= from) return false;
    const apart = this.stretches.filter(([a, b]) => b < from || a > to);
    const touching = this.stretches.filter(([a, b]) => b >= from && a <= to);
    const joined = [Math.min(from, ...touching.map(([a]) => a)), Math.max(to, ...touching.map(([, b]) => b))];
    this.stretches = [...apart, joined].sort((a, b) => a[0] - b[0]);
    if (this.share * this.length < this.length - this.slack) return false;
    this.rounds += 1;
    this.stretches = [];
    return true;
  }
}
