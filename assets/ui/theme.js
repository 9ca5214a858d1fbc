/* Light or dark: follows the system until the reader chooses, then keeps the choice in this browser.
   Runs as a classic script in the head, before the first paint. */
(() => {
  const KEY = "earmark-theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const asked = new URLSearchParams(window.location.search).get("__theme");
  const chosen = () => asked || localStorage.getItem(KEY) || (system.matches ? "dark" : "light");

  // Gradio sets the class on the body by the system alone, whenever it (re)draws: hold it to the choice.
  function hold() {
    const dark = chosen() === "dark";
    document.documentElement.classList.toggle("dark", dark);
    if (document.body && document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
  }
  hold();
  document.addEventListener("DOMContentLoaded", () => {
    hold();
    new MutationObserver(hold).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  });
  system.addEventListener("change", hold);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    localStorage.setItem(KEY, document.body.classList.contains("dark") ? "light" : "dark");
    hold();
  });
})();
