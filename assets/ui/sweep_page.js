/* What the pieces of the Sweep page share: what is open and marked, the page's own elements, and how a fault is said. */

const asked = new URLSearchParams(location.search);

export const page = {
  root: null, run: asked.get("run") || "", measure: asked.get("measure") || "", tier: asked.get("tier") || "",
  script: "", reference: "any", cell: asked.get("cell") || "", line: "", seed: null, after: "", drawn_with: "", clip: "",
  takes: {}, marked: new Set(), panels: new Map(), playing: false, stamp: "", drawn: 0,
};

export const $ = (selector) => page.root.querySelector(selector);
export const $$ = (selector) => [...page.root.querySelectorAll(selector)];
export const cellOf = (key) => $(`[data-cell="${CSS.escape(key)}"]`);

export const json = (data) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) });

/* Of several askings the last one counts: the answer to an earlier one, when it comes after all, is null. A fault too. */
export function latest() {
  let turn = 0;
  return async (asking) => {
    turn += 1;
    const mine = turn;
    try {
      const found = await asking();
      return mine === turn ? found : null;
    } catch (error) {
      if (mine === turn) throw error;
      return null;
    }
  };
}

/* Run what a button asks for; while that goes on, pressing it again does nothing. */
export async function once(button, work) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try { await work(); } finally { button.removeAttribute("aria-busy"); }
}

export function keepInAddress() {
  const address = new URL(location.href);
  for (const name of ["run", "cell", "measure", "tier"]) page[name] ? address.searchParams.set(name, page[name]) : address.searchParams.delete(name);
  history.replaceState(history.state, "", address);
}

export async function tried(promise) {
  try {
    const found = await promise;
    trouble("");
    return found;
  } catch (error) {
    trouble(error.message);
    return null;
  }
}

export function trouble(text) {
  $("[data-trouble]").hidden = !text;
  $("[data-trouble]").textContent = text;
}

export function say(text) { $("[data-live]").textContent = text; }
