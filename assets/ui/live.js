/* Watching runs: asks the live route for what is new, puts it together, tells who listens. Knows no page.

   `merge` adds an answer to what is known of a run. A `Watcher` asks for every run that somebody listens to: one
   question at a time, kept open by the server until there is news; after a fault it asks again by itself, from the
   last event that it has. Runs that are only compared are asked for without waiting once they are over. */

export const EMPTY = { seq: -1, has: "", pieces: {}, x: [], epoch: [], loss: [], rate: [], pace: [], memory: [], grad: {}, val: [] };
const COLUMNS = ["x", "epoch", "loss", "rate", "pace", "memory"];
const RETRY_MS = [300, 600, 1000, 2000]; // after faults in a row: the app restarts in about three seconds
const IDLE_MS = 5000; // between two questions about a compared run that is over

export function merge(known, news) {
  const before = news.reset ? EMPTY : known;
  const after = { ...news, pieces: { ...(news.reset ? {} : known.pieces), ...known.pieces, ...news.pieces } };
  for (const name of COLUMNS) after[name] = before[name].concat(news[name]);
  after.grad = {};
  for (const part of Object.keys(news.x.length ? { ...before.grad, ...news.grad } : before.grad)) {
    const gap = before.x.length - (before.grad[part] || []).length;
    after.grad[part] = (before.grad[part] || []).concat(Array(Math.max(0, gap)).fill(null), news.grad[part] || []);
  }
  after.val = before.val.concat(news.val);
  return after;
}

export class Watcher {
  constructor() {
    this.runs = new Map(); // run id -> { state, listeners: Map(key -> {tell, main}), abort }
  }

  /* `tell` gets {run, news} with the whole state first, and {run, trouble} while the app does not answer. */
  watch(key, run, main, tell) {
    const one = this.runs.get(run) || { state: EMPTY, listeners: new Map(), abort: null };
    this.runs.set(run, one);
    one.listeners.set(key, { tell, main });
    if (one.state.run) tell({ run, news: { ...one.state, reset: true } });
    if (main && one.abort && one.idle) one.abort.abort(); // it slept as a compared run
    if (!one.abort) this.ask(run, one);
  }

  leave(key) {
    for (const [run, one] of this.runs) {
      if (!one.listeners.delete(key) || one.listeners.size) continue;
      if (one.abort) one.abort.abort();
      this.runs.delete(run);
    }
  }

  async ask(run, one) {
    let faults = 0;
    while (one.listeners.size && this.runs.get(run) === one) {
      one.abort = new AbortController();
      one.idle = false;
      const asleep = one.state.over && ![...one.listeners.values()].some((l) => l.main);
      try {
        if (asleep) await this.sleep(one, IDLE_MS);
        const wait = asleep ? "&wait=0" : "";
        const url = `/live/runs/${encodeURIComponent(run)}?after=${one.state.seq}&has=${one.state.has}${wait}`;
        const reply = await fetch(url, { signal: one.abort.signal, cache: "no-store" });
        if (!reply.ok) throw new Error((await reply.json().catch(() => ({}))).error || `The app answers ${reply.status}.`);
        const news = await reply.json();
        one.state = merge(one.state, news);
        faults = 0;
        for (const { tell } of one.listeners.values()) tell({ run, news });
      } catch (error) {
        if (error.name === "AbortError") continue;
        for (const { tell } of one.listeners.values()) tell({ run, trouble: error.message });
        await new Promise((go) => setTimeout(go, RETRY_MS[Math.min(faults, RETRY_MS.length - 1)]));
        faults += 1;
      }
    }
    one.abort = null;
  }

  sleep(one, ms) {
    one.idle = true;
    return new Promise((go, stop) => {
      const timer = setTimeout(go, ms);
      one.abort.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        stop(new DOMException("woken", "AbortError"));
      });
    });
  }
}

/* What a page uses: one watcher for all tabs of a browser where it can be shared, else one of its own. A browser opens
   six connections to an app at most, so twenty tabs that each keep a question open would keep one another out. */
export function connect(tell) {
  if (typeof SharedWorker === "undefined") {
    const own = new Watcher();
    return { watch: (run, main) => own.watch("page", run, main, tell), leave: () => own.leave("page") };
  }
  const worker = new SharedWorker("/look/live_worker.js", { type: "module", name: "earmark-live" });
  worker.port.onmessage = (event) => tell(event.data);
  worker.port.start();
  const wanted = new Map();
  // A tab that slept is taken for gone; it says what it watches, so that it is taken in again.
  setInterval(() => worker.port.postMessage({ ask: "here", wanted: [...wanted] }), 5000);
  return {
    watch: (run, main) => {
      wanted.set(run, main);
      worker.port.postMessage({ ask: "watch", run, main });
    },
    leave: () => {
      wanted.clear();
      worker.port.postMessage({ ask: "leave" });
    },
  };
}
