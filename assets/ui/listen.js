/* One blind trial at a time: shows the text, plays the sides, takes the answer, asks for the next trial.
   Knows a trial's text, side labels and opaque tokens, and nothing else: no model, no duration, no waveform, no count of others. */

import { Player } from "./player.js";

const WORDS = {
  gate: {
    title: "Would you ship this clip?",
    why: "What was wrong? (optional)",
    choices: [["pass", "Pass", "P"], ["fail", "Fail", "F"]],
  },
  preference: {
    title: "Which one would you ship?",
    why: "What decided it? (optional)",
    choices: [["a", "A is better", "←"], ["tie", "No difference", "↓"], ["b", "B is better", "→"]],
  },
};
const KEYS = {
  gate: [["space", "play or pause"], ["1", "play the clip"], ["← →", "back or on by 3 seconds"], ["R", "from the start"], ["L", "loop"],
    ["P", "pass"], ["F", "fail"], ["shift 1 … 9", "a reason, on or off"], ["?", "these keys"]],
  preference: [["space", "play or pause"], ["1 2", "play A or B"], ["R", "from the start"], ["L", "loop"],
    ["←", "A is better"], ["↓", "no difference"], ["→", "B is better"], ["shift 1 … 9", "a reason, on or off"], ["?", "these keys"]],
};

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

async function ask(url, options = {}) {
  const reply = await fetch(url, { cache: "no-store", credentials: "same-origin", ...options });
  if (!reply.ok) {
    const told = await reply.json().catch(() => ({}));
    throw new Error(told.error || "The server did not answer; check that the app is running and try again.");
  }
  return reply;
}

const send = (url, data) => ask(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) });

/* ------------------------------------------------------------------------------------------------------------------ screens */
function openSittings(sittings) {
  const rows = sittings.map((s) => `<a class="em-button" href="?session=${encodeURIComponent(s.session)}">
      <span>${escape(s.reviewer)}: ${s.kind === "gate" ? "pass or fail" : "A or B"}, ${s.done} of ${s.total} answered</span></a>`);
  return `<div class="em-card em-empty"><h1>${rows.length ? "Choose your sitting" : "Nothing to listen to yet"}</h1>
    <p>${rows.length ? "You hear one clip at a time, without knowing what it is. Headphones help."
      : "Clips arrive here when somebody sends candidates to a blind gate. Keep this page open, or come back later."}</p>
    <div class="em-row" style="flex-direction:column">${rows.join("")}</div></div>`;
}

const finished = (total) => `<div class="em-card em-empty"><h1>That was all ${total}. Thank you.</h1>
  <p>Every answer is saved. You can close this page.</p></div>`;

const failed = (message) => `<div class="em-card em-empty" role="alert"><h1>This did not work</h1><p>${escape(message)}</p>
  <div class="em-row"><button data-act="reload">Try again</button></div></div>`;

function trialScreen(trial) {
  const words = WORDS[trial.kind];
  const single = trial.slots.length === 1;
  const pads = trial.slots.map((slot, i) => `<button class="em-pad" data-side="${i}" aria-pressed="false" disabled>
      <b aria-hidden="true">${single ? "▶" : escape(slot.label)}</b><span class="em-bar"><i style="width:0%"></i></span>
      <small><span data-told>loading</span> <kbd>${i + 1}</kbd></small></button>`);
  const answers = words.choices.map(([choice, label, key]) => `<button data-choice="${choice}" class="${choice === "tie" ? "em-tie" : ""}" disabled>
      ${label} <kbd>${key}</kbd></button>`);
  const chips = trial.reasons.map((reason, i) => `<button class="em-chip" data-reason="${escape(reason)}" aria-pressed="false">${escape(reason)}
      ${i < 9 ? `<kbd>⇧${i + 1}</kbd>` : ""}</button>`);
  const keys = KEYS[trial.kind].map(([key, what]) => `<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`);
  return `<div class="em-listen em-stack">
    <div class="em-row em-between"><h1>${words.title}</h1><span class="em-quiet">${trial.position} of ${trial.total}</span></div>
    <div class="em-bar" role="progressbar" aria-label="Progress of this sitting" aria-valuemin="0" aria-valuenow="${trial.position - 1}"
      aria-valuemax="${trial.total}"><i style="width:${(100 * (trial.position - 1)) / trial.total}%"></i></div>
    <div class="em-card"><p class="em-line">“${escape(trial.text)}”</p></div>
    <div class="em-pads" data-sides="${trial.slots.length}" role="group" aria-label="Clips">${pads.join("")}</div>
    <div class="em-row em-between"><div class="em-tools">
      <button data-act="toggle" disabled>Play <kbd>space</kbd></button><button data-act="restart" disabled>From the start <kbd>R</kbd></button>
      <button data-act="loop" aria-pressed="false" disabled>Loop <kbd>L</kbd></button></div><small data-mode></small></div>
    <div class="em-ask" data-choices="${words.choices.length}" role="group" aria-label="Your answer">${answers.join("")}</div>
    ${chips.length ? `<div><small>${words.why}</small><div class="em-chips" role="group" aria-label="Reasons">${chips.join("")}</div></div>` : ""}
    <details><summary>Add a note</summary><textarea rows="2" maxlength="500" aria-label="Note"></textarea></details>
    <p><small>Answers are saved as you give them. You can close this page and come back. <button class="em-chip" data-act="keys">
      <kbd>?</kbd> all keys</button></small></p>
    <dialog aria-label="Keys"><h2>Keys</h2><dl class="em-keys">${keys.join("")}</dl>
      <div class="em-row" style="margin-top:16px"><button data-act="close">Close</button></div></dialog></div>`;
}

/* ------------------------------------------------------------------------------------------------------------------ the page */
class Sitting {
  constructor(root, session) {
    this.root = root;
    this.session = session;
    this.stage = root.querySelector("[data-stage]");
    this.live = root.querySelector("[aria-live]");
    this.trial = null;
    this.ready = false;
    this.sending = false;
  }

  async next() {
    this.ready = false;
    try {
      const reply = await (await ask(`/blind/trial?session=${encodeURIComponent(this.session)}`)).json();
      if (reply.finished) {
        this.trial = null;
        this.stage.innerHTML = finished(reply.total);
        this.say("That was all. Thank you.");
        return;
      }
      await this.show(reply);
    } catch (error) {
      this.fail(error);
    }
  }

  async show(trial) {
    this.trial = trial;
    this.stage.innerHTML = trialScreen(trial);
    if (!this.player) {
      this.player = new Player(new AudioContext());
      const frame = () => { this.player.tick(); this.paint(); requestAnimationFrame(frame); };
      requestAnimationFrame(frame);
    }
    // Every side is here and decoded before the first one can be played: nothing about a side shows in the waiting.
    const bytes = await Promise.all(trial.slots.map(async (s) => (await ask(`/blind/audio/${s.token}`)).arrayBuffer()));
    const sides = await Promise.all(bytes.map((b) => this.player.context.decodeAudioData(b)));
    this.player.load(sides, Math.max(...sides.map((b) => b.duration)) >= 8 ? "continue" : "restart");
    this.ready = true;
    this.stage.querySelectorAll("[data-side],[data-act]").forEach((b) => { b.disabled = false; });
    const mode = this.stage.querySelector("[data-mode]");
    if (trial.slots.length > 1) mode.textContent = this.player.mode === "continue" ? "switching keeps the place" : "switching starts again";
    this.say(`Trial ${trial.position} of ${trial.total}. ${trial.text}`);
    this.paint();
  }

  name(side) {
    return this.trial.slots.length === 1 ? "the clip" : this.trial.slots[side].label;
  }

  allHeard() {
    return this.ready && this.trial.slots.every((_, i) => this.player.heard(i));
  }

  paint() {
    if (!this.ready || !this.trial) return;
    const { player } = this;
    this.stage.querySelectorAll("[data-side]").forEach((pad, i) => {
      const heard = player.heard(i);
      const current = player.playing && player.side === i;
      const share = current ? player.share(i) : heard ? 1 : player.heardShare(i);
      pad.setAttribute("aria-pressed", String(current));
      pad.querySelector("i").style.width = `${Math.round(100 * share)}%`;
      const told = heard ? "heard" : "listen to the end";
      const shown = pad.querySelector("[data-told]");
      if (shown.textContent !== told) shown.textContent = told;
      const label = `Play ${this.name(i)}, ${heard ? "heard" : "not heard to the end yet"}`;
      if (pad.getAttribute("aria-label") !== label) pad.setAttribute("aria-label", label);
    });
    const toggle = this.stage.querySelector("[data-act=toggle]");
    if (toggle.dataset.playing !== String(player.playing)) {
      toggle.dataset.playing = String(player.playing);
      toggle.firstChild.textContent = player.playing ? "Pause " : "Play ";
    }
    const open = this.allHeard() && !this.sending;
    this.stage.querySelectorAll("[data-choice]").forEach((b) => { if (b.disabled === open) b.disabled = !open; });
    if (open && !this.told) { this.told = true; this.say("You can answer now."); }
  }

  async play(side) {
    if (!this.ready || side >= this.trial.slots.length) return;
    if (this.player.playing && this.player.side === side) { this.player.pause(); return; }
    await this.player.context.resume();
    this.player.play(side);
    this.say(`Playing ${this.name(side)}`);
  }

  act(name) {
    if (name === "reload") { window.location.reload(); return; }
    if (name === "keys") { this.stage.querySelector("dialog").showModal(); return; }
    if (name === "close") { this.stage.querySelector("dialog").close(); return; }
    if (!this.ready) return;
    if (name === "toggle") this.play(this.player.side);
    if (name === "restart") this.player.restart();
    if (name === "loop") {
      this.player.setLoop(!this.player.loop);
      this.stage.querySelector("[data-act=loop]").setAttribute("aria-pressed", String(this.player.loop));
      this.say(this.player.loop ? "Loop on" : "Loop off");
    }
  }

  toggleReason(chip) {
    if (chip) chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
  }

  async answer(choice) {
    if (this.sending || !WORDS[this.trial.kind].choices.some(([c]) => c === choice)) return;
    if (!this.allHeard()) { this.say("Listen to the end first, then answer."); return; }
    this.sending = true;
    this.player.stop();
    try {
      await send("/blind/answer", {
        session: this.session,
        trial: this.trial.trial,
        choice,
        reasons: [...this.stage.querySelectorAll("[data-reason][aria-pressed=true]")].map((b) => b.dataset.reason),
        note: this.stage.querySelector("textarea").value,
        plays: Object.fromEntries(this.trial.slots.map((s, i) => [s.label, this.player.plays[i]])),
      });
      this.player.setLoop(false);
      this.told = false;
      await this.next();
    } catch (error) {
      this.fail(error);
    } finally {
      this.sending = false;
    }
  }

  key(event) {
    if (!this.trial || event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    if (target.matches("textarea,input,select") || this.stage.querySelector("dialog[open]")) return;
    if (event.shiftKey && /^Digit[1-9]$/.test(event.code)) {
      this.toggleReason(this.stage.querySelectorAll("[data-reason]")[Number(event.code.slice(5)) - 1]);
      event.preventDefault();
      return;
    }
    const onButton = target.matches("button,summary,a") && target.matches(":focus-visible");
    const done = this.command(event.key.toLowerCase(), onButton);
    if (done) event.preventDefault();
  }

  command(key, onButton) {
    const gate = this.trial.kind === "gate";
    const answers = gate ? { p: "pass", f: "fail" } : { arrowleft: "a", arrowdown: "tie", arrowright: "b" };
    if (key in answers) { this.answer(answers[key]); return true; }
    if (key === " " && !onButton) { this.act("toggle"); return true; }
    if (key === "1" || key === "2") { this.play(Number(key) - 1); return true; }
    if (key === "r") { this.act("restart"); return true; }
    if (key === "l") { this.act("loop"); return true; }
    if (key === "?") { this.act("keys"); return true; }
    if (gate && this.ready && (key === "arrowleft" || key === "arrowright")) { this.player.seek(key === "arrowleft" ? -3 : 3); return true; }
    return false;
  }

  click(event) {
    const button = event.target.closest("button");
    if (!button || button.disabled) return;
    if (button.dataset.side !== undefined) this.play(Number(button.dataset.side));
    else if (button.dataset.choice) this.answer(button.dataset.choice);
    else if (button.dataset.reason) this.toggleReason(button);
    else if (button.dataset.act) this.act(button.dataset.act);
  }

  say(text) {
    this.live.textContent = text;
  }

  fail(error) {
    this.ready = false;
    this.stage.innerHTML = failed(error.message);
  }
}

export async function mount(element) {
  const root = element.querySelector("[data-listen]");
  const session = new URLSearchParams(window.location.search).get("session");
  const sitting = new Sitting(root, session);
  root.addEventListener("click", (event) => sitting.click(event));
  document.addEventListener("keydown", (event) => sitting.key(event));
  if (session) {
    await sitting.next();
    return;
  }
  try {
    const { sittings } = await (await ask("/blind/sittings")).json();
    sitting.stage.innerHTML = openSittings(sittings);
  } catch (error) {
    sitting.fail(error);
  }
}
