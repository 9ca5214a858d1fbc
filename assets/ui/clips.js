/* Unblinded playing for engineers' pages: a play button, a spectrogram with a playhead, words that jump to their time.
   Works by delegation on data attributes, so that it survives every redraw of the page. One clip plays at a time. */

const sound = new Audio();
let current = null; // the [data-clip] element that plays

const clipOf = (node) => node.closest("[data-clip]");

function start(clip, at = null) {
  const url = clip.dataset.clip;
  if (current !== clip || !sound.src.endsWith(url)) {
    stop();
    sound.src = url;
    current = clip;
  }
  if (at !== null) sound.currentTime = at;
  sound.play().catch(() => { if (sound.paused) paint(clip, 0, false); }); // another one was started, or it is not there
}

function stop() {
  sound.pause();
  if (current) paint(current, 0, false);
  return null;
}

/* A piece of a page that was drawn anew goes on sounding, where the same clip stands in it. */
const again = (clip) => document.querySelector(`[data-clip="${CSS.escape(clip.dataset.clip)}"]`);

function paint(clip, share, playing) {
  const head = clip.querySelector(".em-playhead");
  if (head) head.style.left = `${100 * share}%`;
  const button = clip.querySelector(".em-play");
  if (button) {
    button.textContent = playing ? "❚❚" : "▶";
    button.setAttribute("aria-pressed", String(playing));
  }
}

function frame() {
  if (current && sound.duration) {
    if (!current.isConnected) current = again(current) || stop();
    if (current) paint(current, sound.currentTime / sound.duration, !sound.paused);
  }
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);

document.addEventListener("click", (event) => {
  const clip = clipOf(event.target);
  if (!clip) return;
  const box = event.target.closest(".em-sound");
  const word = event.target.closest("[data-at]");
  if (event.target.closest(".em-play")) {
    if (current === clip && !sound.paused) sound.pause();
    else start(clip);
  } else if (word) start(clip, Number(word.dataset.at));
  else if (box) {
    const place = (event.clientX - box.getBoundingClientRect().left) / box.clientWidth;
    const seek = () => start(clip, place * sound.duration);
    if (current === clip && sound.duration) seek();
    else {
      start(clip);
      sound.addEventListener("loadedmetadata", () => { if (current === clip) seek(); }, { once: true });
    }
  }
});

/* Word marks need an alignment on the server: they are asked for one clip after the other, once a card is on the page. */
let asking = false;
async function fillWords() {
  if (asking) return;
  asking = true;
  for (let place = nextWords(); place; place = nextWords()) {
    place.dataset.asked = "true";
    const reply = await fetch(place.dataset.words).catch(() => null);
    if (reply && reply.ok && place.isConnected) place.innerHTML = await reply.text();
    else place.querySelector("small")?.remove();
  }
  asking = false;
}

const nextWords = () => document.querySelector("[data-words]:not([data-asked])");

/* The second half of a double click on a button of a form is no second act: no second test, link or sitting. */
document.addEventListener("click", (event) => {
  if (event.detail > 1 && event.target.closest("button.lg")) event.stopPropagation();
}, true);

/* The name of the person who confirms is asked for on several pages: this browser remembers it. */
const NAME = "earmark-name";
document.addEventListener("change", (event) => {
  if (event.target.closest(".em-person")) localStorage.setItem(NAME, event.target.value);
});
new MutationObserver(() => {
  fillWords();
  const kept = localStorage.getItem(NAME);
  document.querySelectorAll(".em-person input, .em-person textarea").forEach((field) => {
    if (!kept || field.dataset.filled) return;
    field.dataset.filled = "true";
    if (field.value) return;
    field.value = kept;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
}).observe(document.documentElement, { childList: true, subtree: true });
