// What a reader does: the slider, keys, the pointer, the filter, and the link that holds the moment.

const slider = document.getElementById("moment");
const playButton = document.getElementById("play");
const play = { since: 0, from: 0, on: false };

let isDue = false;
function refresh() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; draw(); });
}

function goTo(index) {
  if (events.length === 0) return;
  view.moment = Math.min(Math.max(0, index), events.length - 1);
  const event = events[view.moment];
  slider.value = String(view.moment);
  slider.setAttribute("aria-valuetext", `event ${event.number}, ${nodeName(event.node)}: ${eventText(event)}`);
  document.getElementById("now").textContent = `event ${event.number}, ${momentOf(event.at)}`;
  reveal(view.moment);
  showAll();
}

function showAll() {
  showNodes();
  showTable();
  showChosen();
  keepInLink();
  refresh();
}

function choose(index) {
  view.chosen = index;
  view.past = index < 0 ? new Set() : reach(index, causes);
  view.future = index < 0 ? new Set() : reach(index, effects);
  document.getElementById("clear").disabled = index < 0;
  showAll();
}

// The next event in this direction that is not hidden.
function step(by) {
  let at = view.moment;
  for (let left = Math.abs(by); left > 0; left -= 1) {
    let next = at + Math.sign(by);
    while (events[next] && !isShown(events[next])) next += Math.sign(by);
    if (!events[next]) break;
    at = next;
  }
  goTo(at);
}

function setPlay(on) {
  play.on = on;
  playButton.textContent = on ? "Pause" : "Play";
  if (!on) return;
  if (view.moment === events.length - 1) goTo(0);
  play.since = performance.now();
  play.from = view.moment;
  requestAnimationFrame(playOn);
}

function playOn(now) {
  if (!play.on) return;
  const speed = Number(document.getElementById("speed").value);
  const wanted = play.from + Math.floor(((now - play.since) / 1000) * speed);
  if (wanted > view.moment) goTo(wanted);
  if (view.moment >= events.length - 1) setPlay(false);
  else requestAnimationFrame(playOn);
}

// Links: #event=41&chosen=17

function keepInLink() {
  const parts = [`event=${events[view.moment].number}`];
  if (view.chosen >= 0) parts.push(`chosen=${events[view.chosen].number}`);
  const link = `#${parts.join("&")}`;
  if (link !== location.hash) history.replaceState(null, "", link);
}

function followLink() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const place = (name) => (parts.has(name) ? indexOf(Number(parts.get(name))) : -1);
  const isEvent = (index) => Boolean(events[index]);
  const [moment, chosen] = [place("event"), place("chosen")];
  if (isEvent(chosen)) choose(chosen);
  else if (view.chosen >= 0) choose(-1);
  if (isEvent(moment)) goTo(moment);
  return isEvent(moment);
}

// The pointer

function hitAt(x, y) {
  const near = drawn.events.filter((spot) => Math.abs(spot.x - x) <= 12 && Math.abs(spot.y - y) <= 12);
  const far = (spot) => Math.hypot(spot.x - x, spot.y - y);
  if (near.length > 0) return near.reduce((best, spot) => (far(spot) < far(best) ? spot : best));
  const box = ({ from, to }) => x > from.x - 6 && x < to.x + 26;
  return drawn.messages.filter(box).find(({ from, to }) => distance(x, y, from, to) < 5) || null;
}

// To the nearest of some points on its way.
function distance(x, y, from, to) {
  let nearest = Infinity;
  const steps = Math.min(200, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 4) + 1);
  for (let step = 0; step <= steps; step += 1) {
    const point = along(from, to, step / steps);
    nearest = Math.min(nearest, Math.hypot(x - point.x, y - point.y));
  }
  return nearest;
}

function spotOf(event) {
  const frame = canvas.getBoundingClientRect();
  return [event.clientX - frame.left, event.clientY - frame.top];
}

let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, scroll: layout.scroll, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (drag && Math.abs(event.clientX - drag.x) > 4) drag.moved = true;
  if (drag && drag.moved) {
    lookAt(drag.scroll + drag.x - event.clientX);
    return refresh();
  }
  const [x, y] = spotOf(event);
  showHover(hitAt(x, y), x, y);
});
canvas.addEventListener("pointerup", (event) => {
  const wasDragged = drag && drag.moved;
  drag = null;
  if (wasDragged) return;
  const hit = hitAt(...spotOf(event));
  if (hit && hit.event) { goTo(hit.event.index); choose(hit.event.index); }
  else if (hit && hit.message.end >= 0) choose(hit.message.end);
  else choose(-1);
});
canvas.addEventListener("pointerleave", () => showHover(null));
canvas.addEventListener("wheel", (event) => {
  const by = event.deltaX || event.deltaY;
  lookAt(layout.scroll + by);
  event.preventDefault();
  refresh();
}, { passive: false });

// Keys, wherever the focus is, unless it is where they mean something else.

const keys = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), PageUp: () => step(-10), PageDown: () => step(10),
  Home: () => goTo(0), End: () => goTo(events.length - 1), " ": () => setPlay(!play.on),
  Enter: () => choose(view.moment), Escape: () => choose(-1),
  v: () => { if (opening) goTo(opening.index); },
};
document.addEventListener("keydown", (event) => {
  const isField = ["SELECT", "BUTTON", "TEXTAREA", "SUMMARY"].includes(event.target.tagName)
    || (event.target.tagName === "INPUT" && event.target !== slider);
  if (isField || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});

// The filter is the legend too.

function makeFilter() {
  const filter = document.getElementById("filter");
  const counts = new Map();
  const count = (kind) => counts.set(kind, (counts.get(kind) || 0) + 1);
  events.forEach((event) => [event.kind, ...event.notes.map((note) => note.kind)].forEach(count));
  run.kinds.forEach((name, kind) => {
    if (counts.has(kind)) filter.append(choice(name, counts.get(kind), view.hidden, kind, kind));
  });
  const names = new Map();
  messages.forEach(({ name }) => names.set(name, (names.get(name) || 0) + 1));
  [...names.keys()].sort().slice(0, NAMES_MAX).forEach((name) => {
    filter.append(choice(name, names.get(name), view.hiddenNames, name, -1));
  });
}
const NAMES_MAX = 40;

function choice(name, count, hidden, key, kind) {
  const row = element("label", kind < 0 ? "choice message" : "choice");
  const box = element("input");
  box.type = "checkbox";
  box.checked = true;
  box.addEventListener("change", () => {
    if (box.checked) hidden.delete(key);
    else hidden.add(key);
    showAll();
  });
  row.append(box);
  if (kind >= 0) row.append(icon(kind));
  row.append(element("span", "", name), element("small", "", String(count)));
  return row;
}

function icon(kind) {
  const made = element("canvas", "icon");
  [made.width, made.height] = [44, 44];
  made.dataset.kind = String(kind);
  return made;
}

function drawIcons() {
  for (const made of document.querySelectorAll("canvas.icon")) {
    const pen = made.getContext("2d");
    pen.setTransform(2, 0, 0, 2, 0, 0);
    pen.clearRect(0, 0, 22, 22);
    drawShape(pen, Number(made.dataset.kind), 11, 11);
  }
}

function resize() {
  measure(document.getElementById("stage").clientWidth);
  refresh();
}

function showAbout() {
  const about = document.getElementById("about");
  const count = `${events.length} events, ${messages.length} messages, ${nodes.length} nodes`;
  about.querySelector("summary").textContent = `${count}: what this is`;
  const parts = run.about.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]);
  about.querySelector("dl").append(...parts);
}

function begin() {
  document.getElementById("title").textContent = run.title;
  showAbout();
  const left = [];
  if (run.first > 1) left.push(`${run.first - 1} earlier events were left out: only the last ${events.length} are here.`);
  if (crowded > 0) left.push(`${crowded} operations of clients found no lane, and are not drawn.`);
  const note = document.getElementById("left");
  [note.hidden, note.textContent] = [left.length === 0, left.join(" ")];
  slider.max = String(Math.max(0, events.length - 1));
  if (opening) {
    const words = document.getElementById("violation");
    const number = events[opening.index] ? ` at event ${events[opening.index].number}` : "";
    const word = opening.isViolation ? "Violation" : "Shown";
    [words.hidden, words.textContent] = [false, `${word}${number}: ${opening.text}`];
    words.classList.toggle("shown", !opening.isViolation);
    const button = document.getElementById("found");
    button.hidden = false;
    if (!opening.isViolation) button.textContent = "To what is shown";
  }
  readColors();
  makeFilter();
  drawIcons();
  resize();
  if (events.length === 0) return;
  if (!followLink()) goTo(opening ? opening.index : 0);
}

slider.addEventListener("input", () => goTo(Number(slider.value)));
playButton.addEventListener("click", () => setPlay(!play.on));
document.getElementById("back").addEventListener("click", () => step(-1));
document.getElementById("forward").addEventListener("click", () => step(1));
document.getElementById("clear").addEventListener("click", () => choose(-1));
document.getElementById("found").addEventListener("click", keys.v);
document.getElementById("speed").addEventListener("change", () => setPlay(play.on));
document.getElementById("zoom").addEventListener("input", (event) => {
  layout.zoom = 2 ** (Number(event.target.value) / 4);
  reveal(view.moment);
  refresh();
});
window.addEventListener("resize", resize);
window.addEventListener("hashchange", followLink);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColors();
  drawIcons();
  refresh();
});
// For whoever looks on from outside: a test, or a person at the console.
window.synodPage = { view, drawn, layout, events, messages, operations, opening, runs, statesAt, goTo, choose, draw };
begin();
