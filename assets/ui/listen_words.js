/* What the reviewer's page says, in English and Chinese, from one table (listen_words.json).
   The language follows the browser; ?lang= in the address goes before it, and the switch on the page sets that. Nothing is stored. */

export const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export class Words {
  constructor(table, language) {
    this.table = table;
    this.use(language);
  }

  use(language) {
    this.language = this.table[language] ? language : "en";
    document.documentElement.lang = this.language === "zh" ? "zh-CN" : this.language;
  }

  /* The text of a key with its {values} filled in; a key that the table lacks is said as `otherwise` or as it is. */
  say(key, values = {}, otherwise = key) {
    const text = this.table[this.language][key] ?? otherwise;
    return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
  }

  /* The same, safe to put into markup. */
  html(key, values = {}, otherwise = key) { return escape(this.say(key, values, otherwise)); }

  frame(key) { return this.table[this.language].frame[key]; }

  get other() { return this.language === "zh" ? "en" : "zh"; }
}

function wanted(table) {
  const asked = new URLSearchParams(window.location.search).get("lang");
  const spoken = [asked, ...navigator.languages].filter(Boolean).map((l) => l.toLowerCase().split("-")[0]);
  return spoken.find((language) => table[language]) || "en";
}

export async function words() {
  const table = await (await fetch("/look/listen_words.json")).json();
  return new Words(table, wanted(table));
}
