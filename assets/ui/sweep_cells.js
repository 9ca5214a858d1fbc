/* The cells of the grid: which one is open, which are marked for listening, which lies beside which. */
import { escape } from "/look/desk_api.js";
import { page, $, $$, cellOf, say } from "/look/sweep_page.js";
import { outline } from "/look/sweep_send.js";

export const nameOf = (key) => (cellOf(key)?.getAttribute("aria-label") || key).split(":")[0];

export function marks() {
  for (const cell of $$("[data-cell]")) {
    cell.setAttribute("aria-current", String(cell.dataset.cell === page.cell));
    cell.setAttribute("aria-pressed", String(page.marked.has(cell.dataset.cell)));
    cell.classList.toggle("em-sounding", cell.dataset.cell === page.cell && page.playing);
    cell.tabIndex = cell.dataset.cell === page.cell ? 0 : -1;
  }
  const first = $("[data-cell]");
  if (first && !$("[data-cell][tabindex='0']")) first.tabIndex = 0;
  const count = page.marked.size, button = $("[data-act=send-open]");
  button.disabled = !count;
  button.textContent = count ? `Send ${count} to a blind test` : "Send to a blind test";
  $("[data-marked]").innerHTML = `<b>${count === 1 ? "1 candidate" : `${count} candidates`}</b><small>${escape([...page.marked].map(nameOf).join("; "))}</small>`;
  if (!count) $("[data-send]").hidden = true;
}

export function mark(key) {
  if (page.marked.has(key)) page.marked.delete(key);
  else page.marked.add(key);
  marks();
  outline();
  say(page.marked.has(key) ? `${nameOf(key)} is marked for listening.` : `${nameOf(key)} is no longer marked.`);
}

/* The next cell in a direction that has something in it. */
export function beside(right, down) {
  const rows = $$(".em-heat tbody tr").map((row) => [...row.querySelectorAll("td")].map((td) => td.querySelector("[data-cell]")));
  const row = rows.findIndex((cells) => cells.some((cell) => cell && cell.dataset.cell === page.cell));
  if (row < 0) return $("[data-cell]");
  const column = rows[row].findIndex((cell) => cell && cell.dataset.cell === page.cell);
  for (let r = row + down, c = column + right; rows[r] && c >= 0 && c < rows[r].length; r += down, c += right) {
    if (rows[r][c]) return rows[r][c];
    if (!right) { // from the base, which has one column of its own, to the first scale and back
      const near = rows[r].filter(Boolean)[0];
      if (near) return near;
    }
  }
  return null;
}
