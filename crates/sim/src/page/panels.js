// What stands beside the diagram, as text: nodes and their logs, the table of events, what the pointer is at.
// Text is set as text; nothing here is ever read as markup.

function element(name, className, content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

const ROWS_AROUND = 14;
const CELLS_MAX = 14;

function eventText(event) {
  const parts = [event.text, ...event.notes.map((note) => note.text)];
  const message = messageById.get(event.message);
  if (message) parts[0] = `receives ${message.text || message.name} from ${nodeName(message.from)}`;
  return parts.join("; ");
}

function showNodes() {
  const states = statesAt(view.moment);
  const farthest = farthestClock();
  const cards = nodes.map((node) => nodeCard(node, states[node.index], farthest));
  document.getElementById("nodes").replaceChildren(...cards);
}

function nodeCard(node, state, farthest) {
  const card = element("article", state.up ? "node" : "node down");
  card.append(element("h2", "", node.name));
  const part = [state.up ? state.role || "up" : "down", state.epoch && `of ${state.epoch}`].filter(Boolean);
  card.append(element("p", state.leads && state.up ? "part leads" : "part", part.join(" ")));
  if (state.marks.length > 0) card.append(element("p", "marks", state.marks.join("; ")));
  if (state.text) card.append(element("p", "text", state.text));
  if (state.log.size > 0 || state.start > 0 || state.committed > 0) card.append(...logOf(state));
  if (farthest > 0) card.append(clockOf(state.clock, farthest));
  return card;
}

function logOf(state) {
  const indexes = [...state.log.keys()].sort((one, other) => one - other);
  const shown = indexes.slice(-CELLS_MAX);
  const list = element("ol", "log");
  // A log may have gaps: what is not in it is not hidden.
  const hidden = shown.length < indexes.length ? shown[0] - 1 : state.start;
  if (hidden > 0) list.append(element("li", "cell before", `… ${hidden}`));
  for (const index of shown) {
    const { epoch, text } = state.log.get(index);
    const committed = index <= state.committed;
    const cell = element("li", committed ? "cell committed" : "cell open");
    cell.append(element("b", "", String(index)), element("span", "", epoch), element("i", "", text));
    cell.title = `${index}, of ${epoch}, ${committed ? "committed" : "not committed"}: ${text}`;
    list.append(cell);
  }
  const start = state.start > 0 ? `, from ${state.start + 1} on` : "";
  return [element("p", "caption", `Log${start}: committed up to ${state.committed}`), list];
}

let farthest = -1;
function farthestClock() {
  if (farthest < 0) {
    const clocks = [...nodes.map((node) => node.clock), ...events.map((event) => event.clock || [0, 0])];
    farthest = clocks.reduce((most, [from, to]) => Math.max(most, Math.abs(from), Math.abs(to)), 0);
  }
  return farthest;
}

// True time is the middle.
function clockOf([from, to], most) {
  const row = element("div", "clock");
  const words = from === to ? `${milliseconds(from)} ms` : `${milliseconds(from)} to ${milliseconds(to)} ms`;
  row.append(element("p", "caption", `Clock beside true time: ${words}`));
  const track = element("div", "track");
  const bar = element("div", "bar");
  const place = (nanos) => 50 + (48 * nanos) / most;
  bar.style.left = `${place(from)}%`;
  bar.style.width = `max(5px, ${place(to) - place(from)}%)`;
  track.append(element("div", "truth"), bar);
  row.append(track);
  return row;
}

// Only the events around the moment: a table of ten thousand rows helps nobody.
function showTable() {
  const table = document.getElementById("table");
  const rows = [];
  const take = (from, step) => {
    const taken = [];
    for (let at = from; events[at] && taken.length < ROWS_AROUND; at += step) {
      if (isShown(events[at])) taken.push(tableRow(events[at]));
    }
    return taken;
  };
  rows.push(...take(view.moment, -1).reverse(), ...take(view.moment + 1, 1));
  table.setAttribute("aria-rowcount", String(events.length + 1));
  table.tBodies[0].replaceChildren(...rows);
  requestAnimationFrame(showCurrentRow);
}

// With the frame, which lays all out anyway.
function showCurrentRow() {
  const frame = document.querySelector("aside");
  const current = frame.querySelector("[aria-current]");
  if (current) frame.scrollTop = current.offsetTop - frame.clientHeight / 2;
}

function tableRow(event) {
  const row = element("tr", relation(event.index));
  row.setAttribute("aria-rowindex", String(event.index + 2));
  if (event.index === view.moment) row.setAttribute("aria-current", "true");
  const isOpening = opening && opening.index === event.index;
  const found = isOpening && opening.isViolation ? ` VIOLATION: ${opening.text}` : "";
  if (found) row.classList.add("found");
  const cells = [event.number, milliseconds(ownTime(event.at)), nodeName(event.node), eventText(event) + found];
  row.append(...cells.map((cell) => element("td", "", String(cell))));
  row.append(element("td", "", relation(event.index)));
  row.addEventListener("click", () => { goTo(event.index); choose(event.index); });
  return row;
}

function showChosen() {
  const words = document.getElementById("chosen");
  if (view.chosen < 0) {
    const event = events[view.moment];
    words.textContent = event ? `Event ${event.number}, ${nodeName(event.node)}: ${eventText(event)}` : "";
    return;
  }
  const event = events[view.chosen];
  const rest = events.length - 1 - view.past.size - view.future.size;
  words.textContent = `Event ${event.number}, ${nodeName(event.node)}: ${eventText(event)}. `
    + `${view.past.size} events can have caused it (whole circles), it can have caused ${view.future.size} `
    + `(dashed circles), ${rest} are concurrent with it.`;
}

function hoverLines(hit) {
  if (hit.message) return messageLines(hit.message);
  const { event } = hit;
  const lines = [`Event ${event.number} at ${momentOf(event.at)}, ${nodeName(event.node)}`, eventText(event)];
  if (opening && opening.index === event.index) {
    lines.push(`${opening.isViolation ? "Violation" : "Shown"}: ${opening.text}`);
  }
  if (event.node >= 0) lines.push(...stateLines(event));
  return lines;
}

function messageLines(message) {
  const ends = message.end >= 0
    ? `received by event ${events[message.end].number} at ${momentOf(events[message.end].at)}`
    : message.lost >= 0 ? `does not arrive: ${message.why}` : "still under way";
  const sent = message.sent >= 0 ? `event ${events[message.sent].number}` : "an event that was left out";
  const route = `${nodeName(message.from)} → ${nodeName(message.to)}`;
  return [
    `${message.name}, ${route}`, message.text,
    `sent by ${sent} at ${momentOf(message.sentAt)}, ${ends}`,
  ];
}

function stateLines(event) {
  const state = statesAt(event.index)[event.node];
  const part = [state.up ? state.role || "up" : "down", state.epoch && `of ${state.epoch}`, state.leads && "leads"];
  const lines = [`then: ${part.filter(Boolean).join(" ")}`];
  if (state.log.size > 0) {
    const last = Math.max(...state.log.keys());
    lines.push(`log up to ${last} (${state.log.get(last).text}), committed up to ${state.committed}`);
  }
  return [...lines, ...state.marks, state.text].filter(Boolean);
}

function showHover(hit, x, y) {
  const box = document.getElementById("hover");
  box.hidden = !hit;
  if (!hit) return;
  box.replaceChildren(...hoverLines(hit).map((line, at) => element("p", at === 0 ? "first" : "", line)));
  box.style.left = `${Math.max(0, Math.min(x + 14, layout.width - box.offsetWidth - 4))}px`;
  box.style.top = `${y + 16}px`;
}
