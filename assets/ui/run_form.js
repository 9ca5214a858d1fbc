/* The run form in the browser: says at a field that its value cannot be or differs from the preset, hides what does not
   apply, asks for the preflight a moment after the last change, and puts a proposed change into the form. */

const PAUSE_MS = 350; // after the last key, before preflight is asked
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const GIVE_UP_MS = 30000; // on settings that were asked for: they were refused, and a message says why
let timer = 0;
let checks = 0; // how often preflight was asked

/* Settings that were asked for (a preset's, another model's, those of a run to copy): the form is drawn anew with them.
   What is written in it meanwhile goes over into the new one, and a start waits for it. */
const coming = { turn: 0, came: 0, since: 0, touched: new Set(), start: false, form: null, focus: null };
const areComing = () => coming.came < coming.turn && performance.now() - coming.since < GIVE_UP_MS;

/* The number of this asking: the answer has it too. */
export function settingsAreComing() {
  Object.assign(coming, { turn: coming.turn + 1, since: performance.now(), start: false });
  coming.touched.clear();
  return coming.turn;
}

const askFor = (preset) => say("input", { values: values(), preset, turn: settingsAreComing() });

const form = () => $("[data-form]");
const fields = () => $$("[data-field]", form());

function value(field) {
  const control = $("input, select", field);
  switch (field.dataset.kind) {
    case "check": return control ? control.checked : false;
    case "checks": return $$("input", field).filter((box) => box.checked).map((box) => box.value);
    case "list": return control.value.split(",").map((one) => one.trim()).filter(Boolean);
    case "number": return control.value.trim() === "" || Number.isNaN(Number(control.value)) ? null : Number(control.value);
    default: return control.value;
  }
}

function set(field, to) {
  const control = $("input, select", field);
  switch (field.dataset.kind) {
    case "check": control.checked = Boolean(to); break;
    case "checks": $$("input", field).forEach((box) => (box.checked = to.includes(box.value))); break;
    case "list": control.value = to.join(", "); break;
    default: control.value = to;
  }
  const section = field.closest("details");
  if (section) section.open = true;
}

/* Fields that do not apply are left out: they have their default then. */
function values() {
  const found = {};
  for (const field of fields()) found[field.dataset.field] = field.hidden ? JSON.parse(field.dataset.fallback) : value(field);
  const name = $("[data-field=accepted_by]", form());
  if (name && name.hidden) found.accepted_by = "";
  return found;
}

function fault(field) {
  if (field.dataset.minimum === undefined || field.hidden) return "";
  const [low, high, now] = [Number(field.dataset.minimum), Number(field.dataset.maximum), value(field)];
  const kind = field.dataset.whole ? "a whole number" : "a number";
  if (now === null || (field.dataset.whole && !Number.isInteger(now)) || now < low || now > high)
    return `This should be ${kind} from ${low.toLocaleString("en")} to ${high.toLocaleString("en", { maximumFractionDigits: 7 })}.`;
  return "";
}

const words = (v) => (Array.isArray(v) ? v.join(", ") || "none" : v === true ? "on" : v === false ? "off" : v === "" ? "empty" : String(v));
const QUIET = ["name", "dataset", "voice", "base_model", "device", "accepted_by", "weights_accepted_by", "other_rates", "backend"]; // no preset speaks of these

function mark() {
  for (const field of fields()) {
    const when = field.dataset.when && field.dataset.when.split("=");
    if (when) field.hidden = String(value($(`[data-field=${when[0]}]`, form()))) !== when[1];
    const base = JSON.parse(field.dataset.base);
    const wrong = fault(field);
    const differs = field.dataset.own === undefined && !QUIET.includes(field.dataset.field) && JSON.stringify(value(field)) !== JSON.stringify(base);
    field.classList.toggle("em-wrong-field", Boolean(wrong));
    field.classList.toggle("em-changed", differs && !wrong);
    const place = $("[data-mark]", field);
    const told = wrong || (differs ? `Preset: ${words(base)}` : "");
    if (place.textContent !== told) place.textContent = told;
    $$("input, select", field).forEach((control) => control.setAttribute("aria-invalid", String(Boolean(wrong))));
  }
  count();
}

/* What is in a folded section is said on it. */
function count() {
  for (const section of $$(".em-section", form())) {
    const refused = $$(".em-refused:not([hidden])", section).length;
    const [wrong, changed] = [$$(".em-wrong-field:not([hidden])", section).length, $$(".em-changed:not([hidden])", section).length];
    const count = $("[data-count]", section);
    count.textContent = wrong ? `${wrong} to mend` : refused ? "refused" : changed ? `${changed} changed` : "";
    count.classList.toggle("em-bad-count", wrong + refused > 0);
    if (wrong) section.open = true;
  }
}

function say(event, data) {
  form().dispatchEvent(new CustomEvent("earmark", { bubbles: true, detail: { event, data } }));
}

function changed(pause) {
  mark();
  clearTimeout(timer);
  if (!$(".em-wrong-field:not([hidden])", form())) timer = setTimeout(() => say("select", { values: values(), turn: ++checks }), pause);
}

/* What preflight says of a field stands at the field too. */
function pointAt() {
  const card = $(".em-preflight[data-level]");
  if (!card || !form()) return;
  $$(".em-refused", form()).forEach((field) => field.classList.remove("em-refused"));
  let wanted = "";
  for (const item of $$("[data-item]", card)) {
    const names = item.dataset.settings.split(" ").filter(Boolean);
    if (item.dataset.item === "refuse") names.forEach((name) => $(`[data-field=${name}]`, form())?.classList.add("em-refused"));
    wanted = names.find((name) => $(`[data-field=${name}][data-on-demand]`, form())) || wanted;
  }
  for (const field of $$("[data-on-demand]", form())) field.hidden = !wanted && !value(field);
  count();
  note();
}

/* What stands beside the button. */
function note() {
  const refused = $(".em-preflight")?.dataset.level === "refuse";
  const waits = coming.start && areComing();
  $("[data-submit-note]", form()).textContent = waits ? "It starts once the settings that were asked for are here."
    : refused ? "Preflight refuses it; see what mends it." : "";
}

function propose(event) {
  const change = event.target.closest("[data-change]"), who = event.target.closest("[data-ask]"), preset = event.target.closest("[data-preset]");
  if (change) {
    const field = $(`[data-field=${change.dataset.change}]`, form());
    set(field, JSON.parse(change.dataset.to));
    flash(field);
    changed(0);
  } else if (who) {
    const field = $(`[data-field=${who.dataset.ask}]`, form());
    field.hidden = false;
    $("input", field).focus();
  } else if (preset) askFor(preset.dataset.preset);
}

function flash(field) {
  field.classList.remove("em-flash");
  void field.offsetWidth; // so that the same field can flash again
  field.classList.add("em-flash");
}

function submit(event) {
  event.preventDefault();
  if (areComing()) {
    coming.start = true;
    note();
    return;
  }
  begin();
}

function begin() {
  mark();
  const wrong = $(".em-wrong-field:not([hidden])", form());
  const refused = $("[data-level=refuse] [data-item=refuse]");
  if (wrong) $("input", wrong).focus();
  else if (refused) refused.scrollIntoView({ block: "center" });
  if (wrong) return;
  say("submit", { values: values() });
}

/* Called whenever the page changed: binds a form that has not been bound yet. */
export function bindForm() {
  const here = form();
  if (!here || here.dataset.bound) return;
  here.dataset.bound = "true";
  $$("[data-on-demand]", here).forEach((field) => (field.hidden = !value(field)));
  here.addEventListener("submit", submit);
  here.addEventListener("input", (event) => {
    if (event.target.name === "preset") return askFor(event.target.value);
    if (event.target.name === "backend") return askFor("");
    coming.touched.add(event.target.closest("[data-field]")?.dataset.field);
    changed(PAUSE_MS);
  });
  here.addEventListener("focusin", (event) => (coming.focus = event.target));
  here.addEventListener("focusout", ({ target }) => setTimeout(() => { // what is taken out of the page loses the focus too
    if (coming.focus === target && target.isConnected) coming.focus = null;
  }));
  goOn(coming.form, here);
  const place = $(".em-runs-check");
  if (place && !place.dataset.bound) {
    place.dataset.bound = "true";
    place.addEventListener("click", propose);
    new MutationObserver(pointAt).observe(place, { childList: true, subtree: true, characterData: true, attributes: true });
  }
  pointAt();
  changed(0);
  if (coming.start && !areComing()) {
    coming.start = false;
    begin();
  }
}

/* What stands in the controls of a field, into those of the same field. */
function carry(from, to) {
  if (from.length !== to.length) return; // another model has other choices
  to.forEach((control, i) => {
    const own = control.value;
    if (control.type === "checkbox") control.checked = from[i].checked;
    else control.value = from[i].value;
    if (control.matches("select") && control.selectedIndex < 0) control.value = own;
  });
}

/* The new form goes on where the one before was left: what was written since, what was open, where the caret stood. */
function goOn(before, here) {
  const { focus } = coming;
  coming.came = Math.max(coming.came, Number($("[data-answers]")?.dataset.answers || 0));
  coming.form = here;
  if (!before) return;
  for (const name of coming.touched) carry(...[before, here].map((side) => $$(`[data-field="${name}"] :is(input, select)`, side)));
  const sections = $$(".em-section", here);
  $$(".em-section", before).forEach((section, i) => { if (section.open && sections[i]) sections[i].open = true; });
  if (!focus || document.activeElement !== document.body || !before.contains(focus)) return;
  const again = focus.name === "preset" ? $("[name=preset]:checked", here) : focus.id ? $(`#${CSS.escape(focus.id)}`, here) : null;
  again?.focus({ preventScroll: true });
  if (again?.matches("input:not([type])")) again.setSelectionRange(focus.selectionStart, focus.selectionEnd);
}
