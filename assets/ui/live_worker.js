/* One watcher for all tabs of a browser: a run is asked for once, however many tabs show it. */
import { Watcher } from "./live.js";

const GONE_MS = 60000; // a tab that says nothing for so long has crashed, or its machine slept
const watcher = new Watcher();
const tabs = new Map(); // port -> when it was last heard of

self.onconnect = ({ ports: [port] }) => {
  tabs.set(port, Date.now());
  const watch = (run, main) => watcher.watch(port, run, main, (told) => port.postMessage(told));
  port.onmessage = ({ data }) => {
    const isBack = data.ask === "here" && !tabs.has(port);
    tabs.set(port, Date.now());
    if (isBack) data.wanted.forEach(([run, main]) => watch(run, main));
    if (data.ask === "watch") watch(data.run, data.main);
    if (data.ask === "leave") watcher.leave(port);
  };
  port.start();
};

setInterval(() => {
  for (const [port, heard] of tabs) {
    if (Date.now() - heard < GONE_MS) continue;
    watcher.leave(port);
    tabs.delete(port);
  }
}, GONE_MS / 2);
