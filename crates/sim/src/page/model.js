// The run, read from the page, and what follows from it: causes, effects, what nodes were like.

const run = JSON.parse(document.getElementById("run").textContent);

// A text is written once and named by its number.
function textOf(named) {
  return typeof named === "number" ? run.texts[named] : named;
}

const nodes = run.nodes.map(([name, up, change, clock], index) => ({ index, name, up: up === 1, change, clock }));

const events = run.events.map(([at, node, kind, text, message, change, notes, clock], index) => ({
  index, number: run.first + index, at, node, kind, text: textOf(text), message, change, clock,
  notes: notes.map(([noteKind, note]) => ({ kind: noteKind, text: textOf(note) })),
}));

function indexOf(number) {
  return number >= run.first ? number - run.first : -1;
}

// `sent` and `end` are places among the events, or -1: before the first, or not received.
const messages = run.messages.map(([id, from, to, sent, sentAt, end, lost, name, text, why]) => ({
  id, from, to, sent: indexOf(sent), sentAt, end: indexOf(end), lost,
  name: textOf(name), text: textOf(text), why: lost < 0 ? "" : textOf(why),
}));
const messageById = new Map(messages.map((message) => [message.id, message]));

// Those of everywhere that begin and end together are one: a cut of several links.
const spans = [];
for (const [from, to, on, text] of run.spans) {
  const same = spans.find((one) => on.length + one.on.length === 0 && one.from === from && one.to === to);
  if (same) same.text += `, ${textOf(text)}`;
  else spans.push({ from, to, on, text: textOf(text) });
}

const operations = run.operations.map(([client, called, at, text, answer, outcome]) => ({
  client: textOf(client), called, at, text: textOf(text), answer: textOf(answer),
  outcome: ["open", "returned", "failed", "unknown"][outcome],
}));

// Where the page opens: at a broken rule, or at what the run is shown for.
const opened = run.violation || run.opening;
const opening = opened && { index: indexOf(opened[0]), text: opened[1], isViolation: Boolean(run.violation) };

// Runs on the same lines, one behind the other; without any, all is one run that begins at zero.
const runs = run.runs.map(([event, origin, title]) => ({ index: indexOf(event), origin, title }));

// One that nobody has answered by the end of its run stays open until there. Without runs nobody knows how long.
function endOfRun(at) {
  const next = runs.find((one) => one.origin > at);
  if (next) return next.origin - 1;
  return runs.length > 0 && run.events.length > 0 ? run.events[run.events.length - 1][0] : Infinity;
}

// A time as its run counts it.
function ownTime(at) {
  const begun = runs.filter((one) => one.origin <= at);
  return begun.length === 0 ? at : at - begun[begun.length - 1].origin;
}

// Happened before (Lamport 1978): the event before on the same node, and the one that sent the message.
const causes = events.map(() => []);
const effects = events.map(() => []);
{
  const last = nodes.map(() => -1);
  const begins = new Set(runs.map((one) => one.index));
  for (const event of events) {
    // Nothing of one run is a cause in another.
    if (begins.has(event.index)) last.fill(-1);
    const before = [];
    if (event.node >= 0) {
      before.push(last[event.node]);
      last[event.node] = event.index;
    }
    const message = messageById.get(event.message);
    if (message) before.push(message.sent);
    for (const cause of before) {
      if (cause < 0) continue;
      causes[event.index].push(cause);
      effects[cause].push(event.index);
    }
  }
}

// All that can be reached from an event, itself not among it.
function reach(start, edges) {
  const reached = new Set();
  const open = [start];
  while (open.length > 0) {
    for (const next of edges[open.pop()]) {
      if (reached.has(next)) continue;
      reached.add(next);
      open.push(next);
    }
  }
  return reached;
}

function change(state, by) {
  if ("r" in by) state.role = textOf(by.r);
  if ("e" in by) state.epoch = textOf(by.e);
  if ("l" in by) state.leads = by.l === 1;
  if ("c" in by) state.committed = by.c;
  if ("s" in by) state.start = by.s;
  for (const at of by.d || []) state.log.delete(at);
  for (const [at, epoch, text] of by.p || []) state.log.set(at, { epoch: textOf(epoch), text: textOf(text) });
  if ("m" in by) state.marks = by.m.map(textOf);
  if ("t" in by) state.text = textOf(by.t);
}

function firstState(node) {
  const state = {
    up: node.up, role: "", epoch: "", leads: false, committed: 0, start: 0, log: new Map(), marks: [], text: "",
    clock: node.clock,
  };
  change(state, node.change);
  return state;
}

function copyOf(states) {
  return states.map((state) => ({ ...state, log: new Map(state.log) }));
}

function happen(states, event) {
  if (event.node < 0) return;
  const state = states[event.node];
  const kind = run.kinds[event.kind];
  if (kind === "start") state.up = true;
  if (kind === "crash") state.up = false;
  if (event.change) change(state, event.change);
  if (event.clock) state.clock = event.clock;
}

// Every so many events what all nodes were like is kept, so that no look replays more than that.
const KEPT_EVERY = 200;
const kept = [];
{
  const states = nodes.map(firstState);
  events.forEach((event, index) => {
    if (index % KEPT_EVERY === 0) kept.push(copyOf(states));
    happen(states, event);
  });
}

// What the nodes are like after the event at this place.
function statesAt(index) {
  if (events.length === 0) return nodes.map(firstState);
  const from = Math.floor(index / KEPT_EVERY);
  const states = copyOf(kept[from]);
  for (let at = from * KEPT_EVERY; at <= index; at += 1) happen(states, events[at]);
  return states;
}

function milliseconds(nanos) {
  return (nanos / 1e6).toFixed(3);
}

function momentOf(at) {
  return `${milliseconds(ownTime(at))} ms`;
}

function nodeName(index) {
  return index < 0 ? "all" : nodes[index].name;
}
