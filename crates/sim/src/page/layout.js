// Where everything stands. Events have distances that grow with the logarithm of the time between them,
// and a least distance: so no window shows more than so many.

const STEP_MIN = 15;
const STEP_A_DECADE = 6;
// Room for the longest name, within reason.
const LEFT = Math.min(130, Math.max(74, 24 + 8 * Math.max(0, ...nodes.map((node) => node.name.length))));
// Titles of runs stand below the times.
const RULER = runs.length > 0 ? 50 : 34;
const LANE = 17;
const LANES_MAX = 8;
const STRIP = 20;
const ROW = 56;

const layout = { zoom: 1, scroll: 0, width: 800, height: 0, linesFrom: 0, stripAt: 0 };

// Before zoom, from 0.
const places = [];
{
  let place = 0;
  events.forEach((event, index) => {
    if (index > 0) {
      const micros = (event.at - events[index - 1].at) / 1000;
      place += STEP_MIN + STEP_A_DECADE * Math.log10(1 + micros);
    }
    places.push(place);
  });
}

function lastPlace() {
  return places.length === 0 ? 0 : places[places.length - 1];
}

function xOf(index) {
  return LEFT + 24 + places[index] * layout.zoom - layout.scroll;
}

// The place of a time between two events is between theirs.
function xOfTime(at) {
  const next = firstAfter(at);
  if (next === 0) return xOf(0) - 16;
  if (next === events.length) return xOf(next - 1) + 16;
  const [before, after] = [events[next - 1].at, events[next].at];
  const share = after > before ? (at - before) / (after - before) : 0;
  return xOf(next - 1) + share * (xOf(next) - xOf(next - 1));
}

function firstAfter(at) {
  return search((index) => events[index].at > at);
}

// The first event for which this holds, if it holds for all behind.
function search(holds) {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

// From the first event in the window to the first behind it.
function visible() {
  return [search((index) => xOf(index) >= LEFT - 8), search((index) => xOf(index) > layout.width + 8)];
}

function yOf(node) {
  return node < 0 ? layout.stripAt + STRIP / 2 : layout.linesFrom + node * ROW + ROW / 2;
}

// A message to a node that is not the next one bends aside, so that it does not seem to touch those between.
function bend(from, to) {
  const rows = Math.abs(to.y - from.y) / ROW;
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  if (rows < 1.5) return middle;
  return { x: middle.x + 20, y: middle.y };
}

function along(from, to, share) {
  const middle = bend(from, to);
  const [first, second, third] = [(1 - share) ** 2, 2 * share * (1 - share), share ** 2];
  return {
    x: first * from.x + second * middle.x + third * to.x, y: first * from.y + second * middle.y + third * to.y,
  };
}

// Each operation gets the first lane that is free; those for which there is none are counted.
let lanes = 0;
let crowded = 0;
{
  const free = [];
  const latest = [];
  for (const operation of operations) {
    operation.end = operation.at >= 0 ? operation.at : endOfRun(operation.called);
    operation.next = Infinity;
    let lane = free.findIndex((until) => until < operation.called);
    if (lane < 0 && free.length < LANES_MAX) lane = free.push(0) - 1;
    operation.lane = lane;
    if (latest[lane]) latest[lane].next = operation.called;
    latest[lane] = operation;
    if (lane < 0) crowded += 1;
    // One of which nobody knows the end keeps its lane for a while only.
    else free[lane] = operation.end < Infinity ? operation.end : operation.called + 2e7;
  }
  lanes = free.length;
}

function measure(width) {
  layout.width = width;
  layout.stripAt = RULER + lanes * LANE + (lanes > 0 ? 8 : 0);
  layout.linesFrom = layout.stripAt + STRIP;
  layout.height = layout.linesFrom + nodes.length * ROW + 6;
  lookAt(layout.scroll);
}

function lookAt(scroll) {
  const most = Math.max(0, lastPlace() * layout.zoom - (layout.width - LEFT) + 80);
  layout.scroll = Math.min(Math.max(0, scroll), most);
}

// Scrolls if the event is not well inside of the window.
function reveal(index) {
  const x = xOf(index);
  const margin = Math.min(120, (layout.width - LEFT) / 4);
  if (x < LEFT + margin || x > layout.width - margin) {
    lookAt(layout.scroll + x - LEFT - (layout.width - LEFT) * 0.6);
  }
}
