/* The screens of the reviewer's page as markup: pure functions of the words and of what is shown. They know a trial's text,
   labels and progress, and nothing else of it: no model, no duration, no waveform, no count of others. */

import { answerMarkup, keysOf } from "./listen_kinds.js";
import { escape } from "./listen_words.js";

const card = (inside) => `<div class="em-card em-empty">${inside}</div>`;
const title = (text) => `<h1 tabindex="-1">${text}</h1>`;

export function sittingsScreen(words, sittings) {
  const rows = sittings.map((s) => `<a class="em-button" href="?session=${encodeURIComponent(s.session)}">${words.html("sittings.row",
    { reviewer: s.reviewer, kind: words.say(`kind.${s.kind}`), done: s.done, total: s.total })}</a>`);
  const found = rows.length > 0;
  return card(`${title(words.html(found ? "sittings.title" : "sittings.none"))}
    <p>${words.html(found ? "sittings.text" : "sittings.none.text")}</p><div class="em-row em-column">${rows.join("")}</div>`);
}

export const undoButton = (words, usable = true) => `<button class="em-chip" data-act="undo" ${usable ? "" : "disabled"}>${words.html("undo")} <kbd>U</kbd></button>`;

export const finishedScreen = (words, reply) => card(`${title(words.html("done.title", { total: reply.total }))}
  <p>${words.html("done.text")}</p>${reply.previous ? "" : `<p class="em-quiet">${words.html("done.final")}</p>`}<div class="em-row">${reply.previous ? undoButton(words) : ""}
  <a class="em-button" href="?lang=${words.language}">${words.html("sittings.others")}</a></div>`);

export const failedScreen = (words, message) => `<div class="em-card em-empty" role="alert">${title(words.html("failed.title"))}
  <p>${escape(message || words.say("failed.server"))}</p><div class="em-row"><button data-act="again">${words.html("failed.again")}</button></div></div>`;

export const breakScreen = (words, done, total) => card(`${title(words.html("break.title"))}<p>${words.html("break.text", { done, total })}</p>
  <div class="em-row"><button class="em-primary" data-act="resume">${words.html("break.end")} <kbd>↵</kbd></button></div>`);

export const unsentNotice = (words) => `<div class="em-notice em-bad" role="alert"><b>${words.html("unsent.title")}</b>
  <p>${words.html("unsent.text")}</p><button data-act="send">${words.html("unsent.again")}</button></div>`;

export const volumeRow = (words, volume, locked) => `<label class="em-volume"><span>${words.html("volume")}</span>
  <input type="range" data-volume min="0" max="100" value="${Math.round(100 * volume)}" ${locked ? "disabled" : ""}
    aria-valuetext="${words.html("volume.of", { value: Math.round(100 * volume) })}">
  ${locked ? `<small>${words.html("volume.locked")}</small>` : ""}</label>`;

export const levelScreen = (words, { volume, instructions }) => card(`${title(words.html("level.title"))}
  ${instructions ? `<p class="em-instructions">${escape(instructions)}</p>` : ""}<p>${words.html("level.text")}</p>
  <div class="em-level em-stack"><button data-act="level" aria-pressed="false">${words.html("level.play")} <kbd>space</kbd></button>
  ${volumeRow(words, volume, false)}
  <div><button data-act="phones">${words.html("phones.offer")}</button><p><small data-phones>${words.html("phones.about")}</small></p></div>
  <button class="em-primary em-wide" data-act="begin">${words.html("level.begin")} <kbd>↵</kbd></button></div>`);

export const phonesScreen = (words, position, total) => card(`<p class="em-quiet">${words.html("phones.of", { position, total })}</p>
  ${title(words.html("phones.title"))}<div class="em-level em-stack">
  <button data-act="three">${words.html("phones.play")} <kbd>space</kbd></button>
  <div class="em-ask" data-choices="3" role="group" aria-label="${words.html("your.answer")}">${[1, 2, 3].map((n) => `<button data-quietest="${n - 1}"
    disabled>${n}</button>`).join("")}</div>
  <button data-act="skip">${words.html("phones.skip")}</button></div>`);

/* ------------------------------------------------------------------------------------------------------------- a trial */
export const sideName = (words, trial, side) => (trial.slots.length === 1 ? words.say("clip") : trial.slots[side].label);

const told = (words) => `<small><span data-told>${words.html("loading")}</span>`;
const controlMark = (words, trial, slot) => (trial.control === slot.label ? `<em class="em-control">${words.html("control")}</em>` : "");

function pad(words, trial, slot, i) {
  const face = trial.slots.length === 1 ? "▶" : escape(slot.label);
  return `<button class="em-pad" data-side="${i}" aria-pressed="false" disabled><b aria-hidden="true">${face}</b>${controlMark(words, trial, slot)}
    <span class="em-bar"><i style="width:0%"></i></span>${told(words)} <kbd>${i + 1}</kbd></small></button>`;
}

function ratedRow(words, trial, slot, i) {
  return `<li class="em-rated" data-row="${escape(slot.label)}"><button class="em-pad" data-side="${i}" aria-pressed="false" disabled>
      <b aria-hidden="true">${escape(slot.label)}</b><span class="em-bar"><i style="width:0%"></i></span>${told(words)} <kbd>${i + 1}</kbd></small></button>
    <div><input type="range" data-rating="${escape(slot.label)}" min="0" max="100" value="50" disabled
      aria-label="${words.html("multi.rating", { label: slot.label })}">${controlMark(words, trial, slot)}</div><output>–</output></li>`;
}

function clips(words, trial) {
  if (trial.kind !== "multi") {
    return `<div class="em-pads" data-sides="${trial.slots.length}" role="group" aria-label="${words.html("clips")}">
      ${trial.slots.map((slot, i) => pad(words, trial, slot, i)).join("")}</div>`;
  }
  return `<div class="em-row em-between"><small>${words.html("multi.scale")}</small>
      <button class="em-chip" data-act="sort" aria-pressed="false">${words.html("multi.sort")} <kbd>O</kbd></button></div>
    <ul class="em-ratings" aria-label="${words.html("clips")}">${trial.slots.map((slot, i) => ratedRow(words, trial, slot, i)).join("")}</ul>`;
}

const slider = (words, name, key) => `<input type="range" data-place="${key}" min="0" max="1000" step="1" value="${key === "to" ? 1000 : 0}"
  aria-label="${words.html(name)}" disabled>`;

function tools(words, trial) {
  const mode = trial.slots.length > 1 ? words.html(`switch.${trial.switching || "restart"}`) : "";
  return `<div class="em-transport"><div class="em-row em-between"><div class="em-tools">
      <button data-act="toggle" disabled><span data-toggle>${words.html("play")}</span> <kbd>space</kbd></button>
      <button data-act="restart" disabled>${words.html("restart")} <kbd>R</kbd></button>
      <button data-act="loop" aria-pressed="false" disabled>${words.html("loop")} <kbd>L</kbd></button></div><small data-mode>${mode}</small></div>
    <div class="em-track">${slider(words, "place", "at")}<kbd aria-hidden="true">J K</kbd></div>
    <div class="em-track em-region" data-region hidden>${slider(words, "loop.from", "from")}${slider(words, "loop.to", "to")}
      <button class="em-chip" data-act="whole" disabled>${words.html("loop.whole")} <kbd>C</kbd></button><kbd aria-hidden="true">S E</kbd></div></div>`;
}

const reasonKey = (i) => (i < 9 ? `⇧${i + 1}` : ["⇧0", "⇧-"][i - 9]);

export const reasonWord = (words, code) => words.say(`reason.${code}`, {}, code);

function reasons(words, trial) {
  if (!trial.reasons?.length) return "";
  const chips = trial.reasons.map((code, i) => `<button class="em-chip" data-reason="${escape(code)}" aria-pressed="false">${escape(reasonWord(words, code))}
      ${reasonKey(i) ? `<kbd>${reasonKey(i)}</kbd>` : ""}</button>`);
  const why = trial.kind === "gate" ? "why" : "why.compare";
  return `<div><small>${words.html(why)}</small><div class="em-chips" role="group" aria-label="${words.html("reasons")}">${chips.join("")}</div></div>`;
}

function progress(words, trial, minutes) {
  const left = minutes ? ` · ${words.html("minutes", { minutes })}` : "";
  const where = trial.training ? words.html("practice") : words.html("of", trial) + left;
  return `<div class="em-row em-between"><h1 tabindex="-1">${words.html(`${trial.kind}.title`)}</h1>
      <span class="${trial.training ? "em-practice" : "em-quiet"}">${where}</span></div>
    <div class="em-bar" role="progressbar" aria-label="${words.html("progress")}" aria-valuemin="0" aria-valuenow="${trial.position - 1}"
      aria-valuemax="${trial.total}"><i style="width:${(100 * (trial.position - 1)) / trial.total}%"></i></div>`;
}

const keysDialog = (words, trial) => `<dialog aria-label="${words.html("keys")}"><h2>${words.html("keys")}</h2><dl class="em-keys">
  ${keysOf(trial).map(([keys, what]) => `<dt>${keys.map((k) => `<kbd>${k}</kbd>`).join(" ")}</dt><dd>${words.html(what)}</dd>`).join("")}</dl>
  <div class="em-row em-dialog-acts"><button data-act="close">${words.html("close")}</button></div></dialog>`;

export function trialScreen(words, trial, { minutes, volume }) {
  const language = trial.language ? ` lang="${escape(trial.language)}"` : "";
  return `<div class="em-listen em-stack" data-kind="${trial.kind}">${progress(words, trial, minutes)}<div data-notice></div>
    <div class="em-card em-text"><p class="em-line"${language}>${words.html("quote", { text: trial.text })}</p></div>
    ${clips(words, trial)}${tools(words, trial)}<div class="em-answer">${answerMarkup(trial, words)}</div>${reasons(words, trial)}
    <details data-note><summary>${words.html("note.add")} <kbd>N</kbd></summary><textarea rows="2" maxlength="500" aria-label="${words.html("note")}"></textarea></details>
    ${volumeRow(words, volume, !trial.training)}
    <p class="em-foot"><small>${words.html("saved.note")}</small></p><div class="em-chips">${undoButton(words, Boolean(trial.previous))}
      <button class="em-chip" data-act="break">${words.html("break")} <kbd>B</kbd></button>
      <button class="em-chip" data-act="keys"><kbd>?</kbd> ${words.html("all.keys")}</button></div>${keysDialog(words, trial)}</div>`;
}

/* A question about an answer that is saved already. The server says it in English; a table that has the reason's question says that. */
export const questionText = (words, question) => words.say(`flag.${question.reason}`, { words: (question.words || []).join(" ") }, question.text);

export function questionScreen(words, trial, question) {
  const choices = question.choices.map(([value, label]) => `<button data-reply="${escape(value)}">${words.html(`choice.${value.split(".")[0]}`, {}, label)}</button>`);
  return `<div class="em-listen em-stack">${title(words.html("question.title"))}
    <div class="em-card em-text"><p class="em-line">${words.html("quote", { text: trial.text })}</p></div>
    <p class="em-question">${escape(questionText(words, question))}</p>${clips(words, trial)}
    <div class="em-ask" data-choices="${choices.length}" role="group" aria-label="${words.html("your.answer")}">${choices.join("")}</div>
    <p><small>${words.html("question.keep")}</small></p></div>`;
}
