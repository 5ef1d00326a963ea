// The space-time diagram. Only what is in the window is drawn.

const canvas = document.getElementById("diagram");
const view = {
  moment: 0, chosen: -1, past: new Set(), future: new Set(), hidden: new Set(), hiddenNames: new Set(),
};
// What was drawn: where, to be found by the pointer, and how much.
const drawn = { events: [], messages: [], count: 0, frames: 0, passing: 0 };
const PASSING_MAX = 400;

function isShown(event) {
  const kinds = [event.kind, ...event.notes.map((note) => note.kind)];
  if (!kinds.some((kind) => !view.hidden.has(kind))) return false;
  const message = messageById.get(event.message);
  return !(message && event.notes.length === 0 && view.hiddenNames.has(message.name));
}

// The kind that says the most: an election before a commit before what brought them about.
function mainKind(event) {
  const shown = [event.kind, ...event.notes.map((note) => note.kind)].filter((kind) => !view.hidden.has(kind));
  const weight = (kind) => ["election", "crash", "start", "commit", "fault"].indexOf(run.kinds[kind]) + 1 || 9;
  return shown.sort((one, other) => weight(one) - weight(other))[0];
}

function relation(index) {
  if (view.chosen < 0) return "";
  if (index === view.chosen) return "chosen";
  if (view.past.has(index)) return "past";
  return view.future.has(index) ? "future" : "concurrent";
}

function strength(index) {
  if (relation(index) === "concurrent") return 0.18;
  return index > view.moment ? 0.4 : 1;
}

function draw() {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(layout.width * scale), Math.round(layout.height * scale)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  canvas.style.height = `${layout.height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  Object.assign(drawn, { events: [], messages: [], count: 0, passing: 0, frames: drawn.frames + 1 });
  pen.globalAlpha = 1;
  pen.fillStyle = colors.ground;
  pen.fillRect(0, 0, layout.width, layout.height);
  if (events.length === 0) return;
  const [first, end] = visible();
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, 0, layout.width - LEFT, layout.height);
  pen.clip();
  drawSpans(pen);
  drawLines(pen);
  drawOperations(pen);
  drawMoment(pen);
  drawMessages(pen, first, end);
  drawEvents(pen, first, end);
  drawRuler(pen, first, end);
  drawRuns(pen);
  pen.restore();
  drawNames(pen);
}

function inWindow(from, to) {
  return to >= LEFT && from <= layout.width;
}

function drawSpans(pen) {
  // Up to where there is a label already, by height.
  const taken = new Map();
  for (const span of spans) {
    const [from, to] = [xOfTime(span.from), span.to < 0 ? layout.width : xOfTime(span.to)];
    if (!inWindow(from, to)) continue;
    drawn.count += 1;
    pen.globalAlpha = 0.16;
    pen.fillStyle = colors.span;
    const everywhere = span.on.length === 0;
    if (everywhere) pen.fillRect(from, layout.stripAt, to - from, layout.height - layout.stripAt);
    for (const node of span.on) pen.fillRect(from, yOf(node) - 16, to - from, 32);
    pen.globalAlpha = 1;
    pen.fillStyle = colors.ink;
    const y = everywhere ? layout.stripAt + STRIP / 2 : yOf(span.on[0]) - 22;
    const begin = Math.max(from, LEFT) + 12;
    if (begin < (taken.get(y) || 0)) continue;
    label(pen, span.text, begin, y, to - begin - 4);
    taken.set(y, Math.min(to, begin + span.text.length * 6.5));
  }
}

// A line between two runs, and the title of each at its beginning.
function drawRuns(pen) {
  runs.forEach((one, at) => {
    const x = one.index < 0 ? LEFT : Math.max(LEFT, xOf(one.index) - 10);
    const next = runs[at + 1];
    const end = next ? xOf(next.index) - 10 : layout.width;
    if (!inWindow(x, end)) return;
    drawn.count += 1;
    pen.strokeStyle = colors.ink;
    pen.lineWidth = 1;
    pen.setLineDash([2, 3]);
    pen.beginPath();
    pen.moveTo(x, 28);
    pen.lineTo(x, layout.height);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = colors.ink;
    label(pen, one.title, x + 5, 36, end - x - 10);
  });
}

// As much of a text as there is room for.
function label(pen, text, x, y, room) {
  const letters = Math.floor(room / 6.5);
  if (letters >= 4) pen.fillText(text.length > letters ? `${text.slice(0, letters - 1)}…` : text, x, y);
}

// A node's line is whole while it is up, and dotted while it is not.
function drawLines(pen) {
  pen.strokeStyle = colors.line;
  pen.lineWidth = 1.5;
  const changes = nodes.map((node) => [[LEFT, node.up]]);
  for (const event of startsAndCrashes) {
    const x = xOf(event.index);
    const of = changes[event.node];
    const up = run.kinds[event.kind] === "start";
    if (x <= LEFT) of[0] = [LEFT, up];
    else if (x < layout.width) of.push([x, up]);
  }
  changes.forEach((of, node) => of.forEach(([from, up], at) => {
    const to = at + 1 < of.length ? of[at + 1][0] : layout.width;
    pen.setLineDash(up ? [] : [2, 7]);
    pen.beginPath();
    pen.moveTo(from, yOf(node));
    pen.lineTo(to, yOf(node));
    pen.stroke();
    drawn.count += 1;
  }));
  pen.setLineDash([]);
}

const startsAndCrashes = events.filter((event) => event.node >= 0 && ["start", "crash"].includes(run.kinds[event.kind]));

// Whole if it was answered, open to the right if nobody knows.
function drawOperations(pen) {
  for (const operation of operations) {
    if (operation.lane < 0) continue;
    const from = xOfTime(operation.called);
    const isOpen = operation.at < 0;
    const to = operation.end === Infinity ? Math.min(layout.width, from + 90)
      : Math.max(xOfTime(operation.end), from + 5);
    // A text that finds no room inside stands behind, as far as nothing else does.
    const isNarrow = to - from < 60 && !isOpen;
    const next = operation.next < Infinity ? xOfTime(operation.next) : layout.width;
    if (!inWindow(from, isNarrow ? Math.max(to, next) : to)) continue;
    drawn.count += 1;
    const y = RULER + operation.lane * LANE + 3;
    pen.globalAlpha = operation.outcome === "failed" ? 0.5 : 1;
    pen.strokeStyle = colors.call;
    pen.lineWidth = 1.5;
    pen.setLineDash(isOpen ? [4, 3] : []);
    pen.strokeRect(from, y, to - from, LANE - 5);
    pen.setLineDash([]);
    pen.fillStyle = colors.ink;
    const answers = { open: "?", unknown: "?", failed: "refused", returned: operation.answer };
    const text = `${operation.client} ${operation.text} → ${answers[operation.outcome]}`;
    const [begin, end] = isNarrow ? [to, next] : [from, to];
    label(pen, text, begin + 4, y + (LANE - 5) / 2 + 1, end - begin - 4);
    pen.globalAlpha = 1;
  }
}

function drawMoment(pen) {
  const x = xOf(view.moment);
  pen.strokeStyle = colors.moment;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(x, RULER - 6);
  pen.lineTo(x, layout.height);
  pen.stroke();
}

// A message that begins and ends outside of the window only passes.
function drawMessages(pen, first, end) {
  if (view.hidden.has(run.kinds.indexOf("message"))) return;
  for (const message of messages) {
    if (message.sent >= end || view.hiddenNames.has(message.name)) continue;
    const isLost = message.lost >= 0;
    const isOver = isLost || message.end >= 0;
    if (!isOver && message.sent < first - 300) continue;
    if (message.end >= 0 && message.end < first) continue;
    const from = { x: message.sent < 0 ? xOfTime(message.sentAt) : xOf(message.sent), y: yOf(message.from) };
    const to = { x: 0, y: yOf(message.to) };
    if (message.end >= 0) to.x = xOf(message.end);
    else if (isLost) Object.assign(to, onTheWay(from, to, Math.min(xOfTime(message.lost) - from.x, 70)));
    else Object.assign(to, onTheWay(from, to, 70));
    if (!inWindow(from.x, to.x)) continue;
    const passes = message.sent < first && (message.end >= end);
    if (passes && (drawn.passing += 1) > PASSING_MAX) continue;
    drawMessage(pen, message, from, to);
  }
}

// What does not arrive ends between the lines, and looks like nothing that arrived.
function onTheWay(from, to, room) {
  const x = from.x + Math.max(22, room * 0.6);
  return { x, y: from.y === to.y ? from.y - 16 : from.y + (to.y - from.y) * 0.45 };
}

function drawMessage(pen, message, from, to) {
  const isLost = message.lost >= 0;
  const isOver = isLost || message.end >= 0;
  const inPast = view.past.has(message.end) || message.end === view.chosen;
  const inFuture = view.future.has(message.sent) || message.sent === view.chosen;
  const lit = view.chosen >= 0 && message.end >= 0 && (inPast || inFuture) && message.sent >= 0;
  pen.globalAlpha = view.chosen >= 0 && !lit ? 0.12 : message.sent > view.moment ? 0.35 : 1;
  pen.lineWidth = lit ? 2.5 : 1.2;
  pen.strokeStyle = lit ? (inPast ? colors.past : colors.future) : isLost ? colors.lost : colors.faint;
  pen.fillStyle = pen.strokeStyle;
  pen.setLineDash(isOver ? (lit && !inPast ? [7, 3] : isLost ? [5, 3] : []) : [2, 4]);
  if (message.end >= 0) drawArrow(pen, from, to);
  else if (isLost) drawLost(pen, from, to);
  else drawWay(pen, from, to);
  pen.globalAlpha = 1;
  drawn.messages.push({ message, from, to });
  drawn.count += 1;
}

function drawEvents(pen, first, end) {
  for (let index = first; index < end; index += 1) {
    const event = events[index];
    if (!isShown(event)) continue;
    const [x, y] = [xOf(index), yOf(event.node)];
    pen.globalAlpha = strength(index);
    const how = relation(index);
    if (how === "past" || how === "future" || how === "chosen") {
      pen.strokeStyle = how === "future" ? colors.future : colors.past;
      pen.lineWidth = how === "chosen" ? 3 : 1.5;
      pen.setLineDash(how === "future" ? [3, 2] : []);
      pen.beginPath();
      pen.arc(x, y, how === "chosen" ? 13 : 11, 0, 2 * Math.PI);
      pen.stroke();
    }
    drawShape(pen, mainKind(event), x, y);
    if (opening && opening.index === index) drawFound(pen, x, y, opening.isViolation);
    drawn.events.push({ event, x, y });
    drawn.count += 1;
  }
  pen.globalAlpha = 1;
}

// Numbers of events, and times below them, where there is room.
function drawRuler(pen, first, end) {
  pen.fillStyle = colors.ground;
  pen.fillRect(LEFT, 0, layout.width - LEFT, RULER - 8);
  let [free, freeTime] = [LEFT, LEFT];
  for (let index = first; index < end; index += 1) {
    const x = xOf(index);
    if (!isShown(events[index]) || x < free) continue;
    pen.fillStyle = index === view.moment ? colors.moment : colors.ink;
    pen.fillText(String(events[index].number), x - 4, 8);
    free = x + 10 + String(events[index].number).length * 7;
    if (x >= freeTime) {
      pen.fillStyle = colors.faint;
      pen.fillText(momentOf(events[index].at), x - 4, 21);
      freeTime = x + 96;
    }
    drawn.count += 1;
  }
}

function drawNames(pen) {
  pen.fillStyle = colors.ink;
  pen.font = "bold 13px system-ui, sans-serif";
  for (const node of nodes) {
    const name = node.name.length > 14 ? `${node.name.slice(0, 13)}…` : node.name;
    pen.fillText(name, 8, yOf(node.index));
  }
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = colors.faint;
  pen.fillText("event", 8, 8);
  if (lanes > 0) pen.fillText("clients", 8, RULER + 9);
  pen.fillText("all", 8, yOf(-1));
}
