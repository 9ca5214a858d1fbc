/* The sentence of the verdict that depends on how many rows make a step: 1 - (1 - p)^N for the N that somebody typed.
   This browser keeps N. */

const KEPT = "earmark-rows-a-step";
const box = (stage) => stage.querySelector("[data-p]");
const field = (stage) => box(stage)?.querySelector("[data-rows-a-step]");

/* After it was drawn. */
export function tellSteps(stage) {
  const typed = field(stage);
  if (!typed) return;
  const kept = localStorage.getItem(KEPT);
  if (kept && typed.value !== kept && typed !== document.activeElement) typed.value = kept;
  const n = Math.max(1, Math.floor(Number(typed.value) || 1));
  box(stage).querySelector("[data-tainted]").textContent = percent(1 - (1 - Number(box(stage).dataset.p)) ** n);
}

export function stepsTyped(stage, target) {
  if (target !== field(stage)) return;
  localStorage.setItem(KEPT, target.value);
  tellSteps(stage);
}

/* The same numbers as the server says. */
function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return "under 0.1 %";
  return value >= 10 || value === 0 ? `${value.toFixed(0)} %` : `${value.toFixed(1)} %`;
}
