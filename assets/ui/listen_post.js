/* How the reviewer's page asks and answers. An answer that could not be sent is kept in this tab's session storage, over a
   reload too, and sent again until the server has it; nothing else is stored, and nothing in it says what was heard. */

const UNSENT = "earmark-unsent";
const WAITS_SEC = [1, 2, 4, 8, 15];

export class Refusal extends Error {}   // the server understood and said no: sending again would not help

async function ask(url, options = {}) {
  const reply = await fetch(url, { cache: "no-store", credentials: "same-origin", ...options });
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => ({}));
  if (reply.status >= 400 && reply.status < 500 && reply.status !== 408 && reply.status !== 429) {
    throw new Refusal(typeof told.error === "string" ? told.error : "");
  }
  throw new Error(typeof told.error === "string" ? told.error : "");
}

const post = async (url, body) => (await ask(url, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
})).json();

export const api = {
  sittings: async () => (await (await ask("/blind/sittings")).json()).sittings,
  trial: async (session) => (await ask(`/blind/trial?session=${encodeURIComponent(session)}`)).json(),
  audio: async (token) => (await ask(`/blind/audio/${encodeURIComponent(token)}`)).arrayBuffer(),
  level: async () => (await ask("/blind/level")).arrayBuffer(),
  headphones: async (session) => (await (await ask(`/blind/headphones?session=${encodeURIComponent(session)}`)).json()).trials,
  checkHeadphones: (session, answers) => post("/blind/headphones", { session, answers }),
  withdraw: (session, trial) => post("/blind/withdraw", { session, trial }),
};

export class Outbox {
  constructor() {
    this.onwaiting = () => {};   // the answer could not be sent and will be sent again
    this.wake = null;
  }

  get unsent() {
    try { return JSON.parse(sessionStorage.getItem(UNSENT)); } catch { return null; }
  }

  /* Send until the server has it. Gives its reply; throws a Refusal when it says no. */
  async send(url, body) {
    sessionStorage.setItem(UNSENT, JSON.stringify({ url, body }));
    return this.sendKept();
  }

  async sendKept() {
    const { url, body } = this.unsent;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const reply = await post(url, body);
        sessionStorage.removeItem(UNSENT);
        return reply;
      } catch (error) {
        if (error instanceof Refusal) {
          sessionStorage.removeItem(UNSENT);
          throw error;
        }
        this.onwaiting();
        await this._wait(WAITS_SEC[Math.min(attempt, WAITS_SEC.length - 1)]);
      }
    }
  }

  /* Do not wait any longer. */
  now() { this.wake?.(); }

  _wait(seconds) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, 1000 * seconds);
    });
  }
}
