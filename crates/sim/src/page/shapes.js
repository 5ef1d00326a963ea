// A shape for each kind of event, so that none is known by its color alone.

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

let colors = {};
function readColors() {
  const names = ["ground", "ink", "faint", "line", "past", "future", "lost", "moment", "found", "span", "call"];
  colors = Object.fromEntries(names.map((name) => [name, color(name)]));
  for (const kind of run.kinds) colors[kind] = color(`kind-${kind.replace(" ", "-")}`) || colors.ink;
}

function polygon(pen, x, y, radius, corners, turn) {
  pen.beginPath();
  for (let corner = 0; corner < corners; corner += 1) {
    const angle = turn + (corner * 2 * Math.PI) / corners;
    pen.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  pen.closePath();
}

const UP = -Math.PI / 2;

const shapes = {
  start(pen, x, y) { polygon(pen, x, y, 7, 3, UP); pen.fill(); },
  request(pen, x, y) { polygon(pen, x, y, 6.5, 3, -UP); pen.fill(); },
  crash(pen, x, y) {
    pen.lineWidth = 3;
    pen.beginPath();
    pen.moveTo(x - 6, y - 6); pen.lineTo(x + 6, y + 6);
    pen.moveTo(x + 6, y - 6); pen.lineTo(x - 6, y + 6);
    pen.stroke();
  },
  message(pen, x, y) { pen.beginPath(); pen.arc(x, y, 4, 0, 2 * Math.PI); pen.fill(); },
  timer(pen, x, y) {
    pen.lineWidth = 1.5;
    polygon(pen, x, y, 5.5, 4, 0); pen.fillStyle = colors.ground; pen.fill(); pen.stroke();
  },
  "disk sync"(pen, x, y) { pen.fillRect(x - 5, y - 5, 10, 10); },
  fault(pen, x, y) {
    pen.beginPath();
    for (const [dx, dy] of [[2, -8], [-5, 1], [-1, 1], [-3, 8], [5, -2], [0, -2]]) pen.lineTo(x + dx, y + dy);
    pen.closePath(); pen.fill();
  },
  election(pen, x, y) {
    pen.beginPath();
    for (let tip = 0; tip < 10; tip += 1) {
      const [radius, angle] = [tip % 2 === 0 ? 9 : 4, UP + (tip * Math.PI) / 5];
      pen.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    pen.closePath(); pen.fill();
  },
  commit(pen, x, y) {
    pen.beginPath(); pen.arc(x, y, 7, 0, 2 * Math.PI); pen.fill();
    pen.strokeStyle = colors.ground; pen.lineWidth = 2;
    pen.beginPath(); pen.moveTo(x - 3.5, y); pen.lineTo(x - 1, y + 3); pen.lineTo(x + 3.5, y - 3); pen.stroke();
  },
  note(pen, x, y) {
    pen.lineWidth = 2;
    pen.beginPath(); pen.arc(x, y, 4, 0, 2 * Math.PI); pen.fillStyle = colors.ground; pen.fill(); pen.stroke();
  },
};

function drawShape(pen, kind, x, y) {
  const name = run.kinds[kind];
  pen.fillStyle = colors[name];
  pen.strokeStyle = colors[name];
  pen.setLineDash([]);
  shapes[name](pen, x, y);
}

// Around the event at which the page opens: one that the checker was not content with has corners.
function drawFound(pen, x, y, isViolation) {
  pen.strokeStyle = isViolation ? colors.found : colors.moment;
  pen.lineWidth = 3;
  pen.setLineDash([]);
  polygon(pen, x, y, 14, isViolation ? 8 : 32, Math.PI / 8);
  pen.stroke();
}

// Its head is beside the dot that it points at, and not below it.
function drawArrow(pen, from, target) {
  const middle = bend(from, target);
  const angle = Math.atan2(target.y - middle.y, target.x - middle.x);
  const to = { x: target.x - 5 * Math.cos(angle), y: target.y - 5 * Math.sin(angle) };
  drawWay(pen, from, to);
  pen.setLineDash([]);
  pen.beginPath();
  pen.moveTo(to.x, to.y);
  pen.lineTo(to.x - 7 * Math.cos(angle - 0.4), to.y - 7 * Math.sin(angle - 0.4));
  pen.lineTo(to.x - 7 * Math.cos(angle + 0.4), to.y - 7 * Math.sin(angle + 0.4));
  pen.closePath();
  pen.fill();
}

function drawWay(pen, from, to) {
  const middle = bend(from, to);
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.quadraticCurveTo(middle.x, middle.y, to.x, to.y);
  pen.stroke();
}

// It ends on the way, in a cross.
function drawLost(pen, from, to) {
  drawWay(pen, from, to);
  pen.setLineDash([]);
  pen.lineWidth = 2.5;
  pen.beginPath();
  pen.moveTo(to.x - 4, to.y - 4); pen.lineTo(to.x + 4, to.y + 4);
  pen.moveTo(to.x + 4, to.y - 4); pen.lineTo(to.x - 4, to.y + 4);
  pen.stroke();
}
