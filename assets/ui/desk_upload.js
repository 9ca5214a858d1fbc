/* Files from a browser to the desk: chosen or dropped, a folder with its structure, one request a file, a few at a time. */

import { ask, drop, send } from "./desk_api.js";

const AT_ONCE = 4;

const size = (bytes) => {
  for (const [unit, step] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (bytes >= step) return `${(bytes / step).toFixed(1)} ${unit}`;
  return `${bytes} bytes`;
};

/* All files below a dropped entry, with their paths inside what was dropped. */
async function walk(entry, prefix, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    found.push([prefix + entry.name, file]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const batch = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!batch.length) return;
    for (const child of batch) await walk(child, `${prefix}${entry.name}/`, found);
  }
}

export class Upload {
  constructor(page) {
    this.page = page;
    this.picked = []; // [name inside the upload, File]
  }

  mount(stage) {
    this.picked = [];
    this.box = stage.querySelector("[data-drop]");
    if (!this.box) return;
    this.box.addEventListener("change", (event) => {
      this.pick([...event.target.files].map((file) => [file.webkitRelativePath || file.name, file]));
    });
    this.box.addEventListener("dragover", (event) => { event.preventDefault(); this.box.dataset.over = "true"; });
    this.box.addEventListener("dragleave", () => { delete this.box.dataset.over; });
    this.box.addEventListener("drop", (event) => this.dropped(event));
  }

  async dropped(event) {
    event.preventDefault();
    delete this.box.dataset.over;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const found = [];
    for (const entry of entries) await walk(entry, "", found);
    this.pick(found);
  }

  pick(files) {
    this.picked = files.filter(([name]) => !name.split("/").some((part) => part.startsWith(".")));
    const bytes = this.picked.reduce((sum, [, file]) => sum + file.size, 0);
    const n = this.picked.length;
    this.box.querySelector("[data-picked]").textContent = n
      ? `${n === 1 ? this.picked[0][0] : `${n.toLocaleString("en")} files`}, ${size(bytes)}`
      : "Nothing chosen yet.";
  }

  /* Everything that was picked, then what the server made of it. A failed or cancelled upload leaves nothing behind. */
  async send(values, told) {
    if (!this.picked.length) throw new Error("Choose files or a folder first, or drop them on the field.");
    const { upload } = await send("/desk/uploads");
    const stop = new AbortController();
    const form = told.closest("form");
    const cancel = document.createElement("button");
    cancel.type = "button";
    cancel.textContent = "Cancel";
    cancel.addEventListener("click", () => stop.abort());
    told.after(cancel);
    form.dataset.busy = "true";
    try {
      await this.sendAll(upload, told, stop);
      told.textContent = "Reading the rows …";
      return await send(`/desk/uploads/${upload}/open`, values);
    } catch (error) {
      drop(`/desk/uploads/${upload}`).catch(() => {});
      throw error;
    } finally {
      told.textContent = "";
      cancel.remove();
      delete form.dataset.busy;
    }
  }

  async sendAll(upload, told, stop) {
    const total = this.picked.reduce((sum, [, file]) => sum + file.size, 0);
    const queue = [...this.picked];
    let sent = 0;
    const one = async () => {
      while (queue.length) {
        const [name, file] = queue.shift();
        const path = name.split("/").map(encodeURIComponent).join("/");
        await ask(`/desk/uploads/${upload}/${path}`, { method: "PUT", body: file, signal: stop.signal });
        sent += file.size;
        told.textContent = `Uploading: ${size(sent)} of ${size(total)}, ${queue.length.toLocaleString("en")} files to go`;
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, one));
    } catch (error) {
      queue.length = 0;
      stop.abort();
      throw error;
    }
  }
}
