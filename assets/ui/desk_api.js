/* How the desk talks to the server: pieces of HTML, JSON, and one sentence when something was refused. */

export const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const AWAY = "The server did not answer; check that Earmark is running and try again.";

export async function ask(url, options = {}) {
  let reply;
  try {
    reply = await fetch(url, { cache: "no-store", credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(AWAY);
  }
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => ({}));
  if (Array.isArray(told.detail)) throw new Error(told.detail.map((d) => `${d.loc[d.loc.length - 1]}: ${d.msg}`).join(". "));
  throw new Error(told.error || (reply.status >= 500 ? "This should not have happened; the log says more." : AWAY));
}

export const getJson = async (url, options) => (await ask(url, options)).json();
export const getHtml = async (url, options) => (await ask(url, options)).text();

export async function send(url, data = {}, method = "POST") {
  const reply = await ask(url, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) });
  return reply.json();
}

export const drop = (url) => ask(url, { method: "DELETE" });

/* Who sits here: the name that other pages ask for too. */
const NAME = "earmark-name";
export const who = () => localStorage.getItem(NAME) || "";
export const isMe = (name) => { if (name) localStorage.setItem(NAME, name); };
