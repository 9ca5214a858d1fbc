/* One watcher for all tabs of a browser: a run is asked for once, however many tabs show it. */
import { Watcher } from "./live.js";

const GONE_MS = 20000; // a tab that says nothing for so long has crashed
const watcher = new Watcher();
const tabs = new Map(); // port -> when it was last heard of

self.onconnect = ({ ports: [port] }) => {
  tabs.set(port, Date.now());
  port.onmessage = ({ data }) => {
    tabs.set(port, Date.now());
    if (data.ask === "watch") watcher.watch(port, data.run, data.main, (told) => port.postMessage(told));
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
