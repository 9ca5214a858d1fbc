/* What each kind of trial asks: its answers, their keys, and what of it is sent. Knows kinds and words; plays nothing. */

export const SIDES_LIMIT = 8;

const CHOICES = {
  gate: [["pass", "P"], ["fail", "F"]],
  preference: [["a", "←"], ["tie", "↓"], ["b", "→"]],
  abx: [["a", "←"], ["b", "→"]],
};
const CHOICE_KEYS = {
  gate: { p: "pass", f: "fail" },
  preference: { arrowleft: "a", arrowdown: "tie", arrowright: "b" },
  abx: { arrowleft: "a", arrowright: "b" },
};
const SCALES = { cmos: { min: -3, max: 3, step: 1 }, mos: { min: 1, max: 5, step: 1 }, multi: { min: 0, max: 100, step: 1 } };

export const isRated = (kind) => kind === "cmos" || kind === "mos";
export const choiceOf = (kind, key) => CHOICE_KEYS[kind]?.[key];
export const scaleOf = (trial) => ({ ...SCALES[trial.kind], ...trial.scale });

const choiceWord = (kind, choice) => (kind === "abx" ? `abx.${choice}` : choice);
const signed = (value) => (value > 0 ? `+${value}` : value < 0 ? `−${-value}` : "0");

/* The values of a rating scale from low to high, each with its number and its word. */
export function steps(trial, words) {
  const { min, max, step, labels } = scaleOf(trial);
  const told = new Map((labels || []).map(([value, text]) => [Number(value), text]));
  const values = Array.from({ length: Math.round((max - min) / step) + 1 }, (_, i) => min + i * step);
  return values.map((value) => ({
    value,
    number: trial.kind === "cmos" ? signed(value) : String(value),
    word: words.say(`${trial.kind}.${value}`, {}, told.get(value) || ""),
  }));
}

/* The markup of the answer, below the clips. For multi the ratings are beside the clips, and this is the button alone. */
export function answerMarkup(trial, words) {
  const { kind } = trial;
  const save = `<button class="em-primary em-save" data-act="save" disabled>${words.html("save")} <kbd>↵</kbd></button>`;
  if (CHOICES[kind]) {
    const buttons = CHOICES[kind].map(([choice, key]) => `<button data-choice="${choice}" class="${choice === "tie" ? "em-tie" : ""}" disabled>
        ${words.html(choiceWord(kind, choice))} <kbd>${key}</kbd></button>`);
    return `<div class="em-ask" data-choices="${buttons.length}" role="group" aria-label="${words.html("your.answer")}">${buttons.join("")}</div>`;
  }
  if (kind === "multi") return `<div class="em-ask" data-choices="1"><small data-todo>${words.html("multi.todo")}</small>${save}</div>`;
  const options = steps(trial, words).map(({ value, number, word }) => `<label class="em-step"><input type="radio" name="rating" value="${value}"
      aria-label="${number} ${word}" disabled><b aria-hidden="true">${number}</b><small aria-hidden="true">${word}</small></label>`);
  return `<fieldset class="em-rate" data-steps="${options.length}"><legend class="em-visually-hidden">${words.html("your.answer")}</legend>
      ${options.join("")}</fieldset><div class="em-ask" data-choices="1"><output data-chosen></output>${save}</div>`;
}

/* What is sent of an answer that was picked; null while something is missing. */
export function given(trial, picked) {
  if (isRated(trial.kind)) return picked.rating === null ? null : { rating: picked.rating };
  if (trial.kind === "multi") {
    const all = trial.slots.every(({ label }) => label in picked.ratings);
    return all ? { ratings: picked.ratings } : null;
  }
  return picked.choice ? { choice: picked.choice } : null;
}

/* The next lower or higher rating than `rating`, from the middle of the scale when there is none yet. */
export function stepped(trial, rating, direction) {
  const { min, max, step } = scaleOf(trial);
  const middle = min + Math.round((max - min) / (2 * step)) * step;
  return rating === null ? middle : Math.min(max, Math.max(min, rating + direction * step));
}

const COMMON = [[["R"], "key.restart"], [["J", "K"], "key.seek"], [["L"], "key.loop"], [["S", "E", "C"], "key.region"]];
const REST = [[["⇧ 1 … 9, 0, -"], "key.reason"], [["N"], "key.note"], [["U"], "key.undo"], [["B"], "key.break"], [["?"], "key.keys"]];
const ANSWERS = {
  gate: [[["P"], "key.pass"], [["F"], "key.fail"]],
  preference: [[["←"], "key.a"], [["↓"], "key.tie"], [["→"], "key.b"]],
  abx: [[["←"], "key.abx.a"], [["→"], "key.abx.b"]],
  cmos: [[["←", "→"], "key.rate"], [["↵"], "key.save"]],
  mos: [[["←", "→"], "key.rate"], [["↵"], "key.save"]],
  multi: [[["↑", "↓", "PgUp", "PgDn"], "key.multi.rate"], [["O"], "key.sort"], [["↵"], "key.save"]],
};

/* Every key of a kind, for the list on the page: [[keys], word]. */
export function keysOf(trial) {
  const count = trial.slots.length;
  const sides = count === 1 ? [["1"], "key.side"] : [[count === 2 ? "1" : "1 …", String(count)], "key.sides"];
  const reasons = trial.reasons?.length ? REST : REST.slice(1);
  return [[["space"], "key.toggle"], sides, ...COMMON, ...ANSWERS[trial.kind], ...reasons];
}
