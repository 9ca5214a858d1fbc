/* Makes a piece of a page what the server says now, touching only what differs: a button keeps its focus, a field keeps what
   is typed in it, and a press that began before the new answer ends on the thing that it began on, or on nothing.
   Knows markup and no page. */

const NAMES = ["id", "name", ...("key cell open compare act run sweep fold piece row card select filter check tab job open-row bulk-act card-act"
  .split(" ").map((name) => `data-${name}`))];
const OURS = ["open", "aria-current", "aria-busy", "data-filled"]; // what a script or a reader sets in a piece

/* Put HTML into a place. */
export function put(place, html) {
  const wanted = document.createElement(place.tagName);
  wanted.innerHTML = html;
  const focus = document.activeElement;
  patch(place, wanted);
  if (place.contains(focus) && document.activeElement !== focus) focus.focus({ preventScroll: true }); // it was moved
}

/* What a node is: it never becomes another thing, it goes and another comes. */
function identity(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return node.nodeName;
  const box = node.matches("input[type=checkbox], input[type=radio], option") ? node.getAttribute("value") : "";
  return [node.nodeName, box, ...NAMES.map((name) => node.getAttribute(name))].join("\n");
}

function patch(there, wanted) {
  const before = Map.groupBy([...there.childNodes], identity);
  const pairs = [...wanted.childNodes].map((node) => [before.get(identity(node))?.shift(), node]);
  for (const left of before.values()) left.forEach((node) => node.remove());
  const chosen = there.nodeName === "SELECT" ? there.value : null;
  let at = there.firstChild;
  for (const [old, node] of pairs) {
    if (old && old === at) at = at.nextSibling;
    else there.insertBefore(old ?? node, at);
    if (old) become(old, node);
  }
  if (chosen !== null && [...there.options].some((option) => option.value === chosen)) there.value = chosen;
}

function become(old, node) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== node.data) old.data = node.data;
  } else if (!old.isEqualNode(node)) {
    for (const { name } of [...old.attributes]) if (!node.hasAttribute(name) && !OURS.includes(name)) old.removeAttribute(name);
    for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    patch(old, node);
  }
}
