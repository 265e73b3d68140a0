// The timeline: a lane for each connection, drawn on a canvas, with its name on the left. `view` is the
// time that is shown, in µs.

const AXIS = 20, LONGEST_LANE = 44, SHORTEST_LANE = 7, MOST_LANES = 40;
const timeline = document.getElementById('timeline');
const lanes = connectionLanes();
const whole = wholeView();
const view = { from: whole.from, to: whole.to };
let colours = {};
let left = 0; // where the names end and the time begins, in pixels

function connectionLanes() {
  const numbers = new Map();
  for (let row = 0; row < rows.count; row += 1) {
    const number = rows.connection[row];
    if (!numbers.has(number)) numbers.set(number, { number, first: row });
  }
  const sorted = [...numbers.values()].sort((a, b) => a.number - b.number);
  const count = Math.max(1, Math.min(MOST_LANES, sorted.length));
  // With more connections than lanes, neighbours share a lane.
  sorted.forEach((lane, nth) => { lane.lane = Math.floor(nth * count / sorted.length); });
  return { count, all: sorted, of: new Map(sorted.map((lane) => [lane.number, lane.lane])) };
}

function wholeView() {
  const from = rows.count ? rows.firstAt[0] : 0;
  const to = rows.count ? rows.lastEnd[rows.count - 1] : 0;
  const edge = Math.max(1, (to - from) * 0.01);
  return { from: from - edge, to: to + edge, first: from, last: to };
}

function setView(from, to) {
  const all = whole.to - whole.from;
  const width = Math.min(all, Math.max(10, to - from));
  const begin = Math.min(Math.max(whole.from, from), whole.to - width);
  Object.assign(view, { from: begin, to: begin + width });
  viewChanged();
}

function zoomBy(factor, around = (view.from + view.to) / 2) {
  setView(around - (around - view.from) * factor, around + (view.to - around) * factor);
}

function moveBy(part) {
  const step = (view.to - view.from) * part;
  setView(view.from + step, view.to + step);
}

const ZOOMS = {
  in: () => zoomBy(0.5), out: () => zoomBy(2), left: () => moveBy(-0.25), right: () => moveBy(0.25),
  all: () => setView(whole.from, whole.to),
};

/** Shows that row, with the time around it. */
function zoomTo(row) {
  const [from, to] = [beginOf(rows, row), endOf(rows, row)];
  const width = Math.max((to - from) * 1.5, (view.to - view.from) / 4, 1000);
  if (from < view.from || to > view.to) setView((from + to - width) / 2, (from + to + width) / 2);
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ['text', 'faint', 'line', 'lane', 'accent', 'answered', 'unsolicited', 'image', 'bad', 'late', 'doubt', 'other'];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue('--' + name).trim()]));
}

function colourOf(kind) {
  const known = { late: 'late', ambiguous: 'doubt', solicited: 'answered' };
  return colours[known[kind] || (PROBLEMS.has(kind) ? 'bad' : kind)] || colours.other;
}

/** A canvas with as many pixels as the screen. Returns its context and its size. */
function prepared(canvas, height) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = '12px system-ui, sans-serif';
  return { context, width, height };
}

function laneHeight() {
  return Math.max(SHORTEST_LANE, Math.min(LONGEST_LANE, Math.floor(280 / lanes.count)));
}

function drawTimeline() {
  const height = laneHeight();
  const total = lanes.count * height + AXIS;
  timeline.style.height = total + 'px';
  const { context, width } = prepared(timeline, total);
  const names = laneNames(height);
  left = names.length ? Math.ceil(Math.max(...names.map(({ name }) => context.measureText(name).width))) + 12 : 0;
  const x = (at) => left + (at - view.from) / (view.to - view.from) * (width - left);
  for (let lane = 0; lane < lanes.count; lane += 1) {
    context.fillStyle = colours.lane;
    context.fillRect(left, lane * height, width - left, height - 2);
  }
  drawNames(context, names, height);
  drawAxis(context, width, lanes.count * height, x);
  context.beginPath();
  context.rect(left, 0, width - left, total);
  context.clip();
  const [from, to] = between(view.from, view.to);
  const worst = [];
  const drawn = new Map();
  for (let row = from; row < to; row += 1) {
    if (!isShown(row)) continue;
    if (isProblem(row)) worst.push(row); else drawRow(context, row, x, height, drawn);
  }
  // Problems are drawn last: nothing hides them.
  drawn.clear();
  for (const row of worst) drawRow(context, row, x, height, drawn);
  if (chosen !== null) drawChosen(context, x, lanes.count * height);
}

function drawAxis(context, width, bottom, x) {
  const most = Math.max(2, (width - left) / 110);
  const wanted = (view.to - view.from) / most;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= wanted) || 10);
  context.textBaseline = 'top';
  context.textAlign = 'center';
  const first = Math.ceil(view.from / step);
  // Above 2^53 µs, a step may be too small to change a time.
  for (let nth = 0; nth <= most + 1; nth += 1) {
    const at = (first + nth) * step;
    if (!(at <= view.to)) break;
    context.fillStyle = colours.line;
    context.fillRect(Math.round(x(at)), 0, 1, bottom + 4);
    context.fillStyle = colours.faint;
    const label = seconds(at, step), half = context.measureText(label).width / 2 + 2;
    context.fillText(label, Math.min(width - half, Math.max(half, x(at))), bottom + 5);
  }
}

/** Draws a row, unless one of its colour has been drawn at this pixel. */
function drawRow(context, row, x, height, drawn) {
  const kind = shownKind(row);
  const lane = lanes.of.get(rows.connection[row]);
  const begin = Math.max(left - 3, x(beginOf(rows, row)));
  const span = Math.min(x(endOf(rows, row)), 1e5) - begin;
  const problem = PROBLEMS.has(kind);
  const pixel = Math.round(begin);
  const key = lane * 64 + rows.kind[row] * 2 + (kind === 'ambiguous' ? 1 : 0);
  if (span < 1 && drawn.get(key) === pixel) return;
  drawn.set(key, pixel);
  const top = lane * height;
  const inner = height - 2;
  context.fillStyle = colourOf(kind);
  if (kind === 'unsolicited') {
    context.fillRect(pixel, top + inner * 0.62, 1.5, inner * 0.38);
  } else if (kind === 'image') {
    context.fillRect(pixel, top + inner * 0.2, 3, inner * 0.6);
  } else if (kind === 'late') {
    context.fillRect(pixel, top + inner * 0.5, Math.max(1, span), 1.5);
    context.fillRect(pixel + span - 1.5, top, 3, inner);
  } else if (problem) {
    // How long a command waits is lighter than that it does.
    context.fillRect(pixel, top, 3, inner);
    context.globalAlpha = 0.4;
    context.fillRect(pixel + 3, top, Math.max(0, span - 3), inner);
    context.globalAlpha = 1;
  } else {
    context.fillRect(pixel, top + 1, Math.max(1.5, span), inner * 0.58);
  }
}

function drawChosen(context, x, bottom) {
  context.fillStyle = colours.accent;
  const begin = x(beginOf(rows, chosen));
  context.fillRect(begin - 1, 0, 2, bottom + 4);
  context.globalAlpha = 0.15;
  context.fillRect(begin, 0, Math.max(0, x(endOf(rows, chosen)) - begin), bottom);
  context.globalAlpha = 1;
}

/** The names of the lanes, if the lanes are high enough for them. */
function laneNames(height) {
  if (height < 14) return [];
  return lanes.all.map(({ number, first, lane }) => {
    const port = /^(control|live|stack|callback):/.exec(rows.text[first]);
    return { name: number + (port ? ' ' + port[1] : ''), lane };
  });
}

function drawNames(context, names, height) {
  context.textAlign = 'left';
  context.textBaseline = 'middle';
  context.fillStyle = colours.text;
  for (const { name, lane } of names) context.fillText(name, 6, (lane + 0.5) * height - 1);
}

function microsPerPixel() {
  return (view.to - view.from) / Math.max(1, timeline.clientWidth - left);
}

/** The row nearest to a point of the canvas, at most 8 pixels away. */
function rowAt(px, py) {
  const perPixel = microsPerPixel();
  const at = view.from + (px - left) * perPixel;
  const lane = Math.floor(py / laneHeight());
  const [from, to] = between(at - 8 * perPixel, at + 8 * perPixel);
  let best = null, distance = 8 * perPixel;
  for (let row = from; row < to; row += 1) {
    if (lanes.of.get(rows.connection[row]) !== lane || !isShown(row)) continue;
    const away = Math.max(0, beginOf(rows, row) - at, at - endOf(rows, row)) + (isProblem(row) ? 0 : perPixel);
    if (away < distance) [best, distance] = [row, away];
  }
  return best;
}

function listenToTimeline() {
  const touching = new Map();
  let moved = 0;
  const at = (px) => view.from + (px - timeline.getBoundingClientRect().left - left) * microsPerPixel();
  timeline.addEventListener('wheel', (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) moveBy(event.deltaX / 1000);
    else zoomBy(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 200))), at(event.clientX));
  }, { passive: false });
  timeline.addEventListener('pointerdown', (event) => {
    timeline.setPointerCapture(event.pointerId);
    touching.set(event.pointerId, event.clientX);
    moved = touching.size > 1 ? 100 : 0;
  });
  timeline.addEventListener('pointermove', (event) => {
    const before = touching.get(event.pointerId);
    if (before === undefined) return;
    const others = [...touching].filter(([id]) => id !== event.pointerId);
    moved += Math.abs(event.clientX - before);
    if (others.length) {
      const other = others[0][1];
      const grown = Math.abs(event.clientX - other) / Math.max(1, Math.abs(before - other));
      zoomBy(1 / Math.max(0.2, Math.min(5, grown)), at((event.clientX + other) / 2));
    } else if (moved > 4) {
      moveBy((before - event.clientX) / Math.max(1, timeline.clientWidth - left));
    }
    touching.set(event.pointerId, event.clientX);
  });
  const released = (event) => {
    if (!touching.delete(event.pointerId) || event.type === 'pointercancel' || moved > 4) return;
    const box = timeline.getBoundingClientRect();
    const row = rowAt(event.clientX - box.left, event.clientY - box.top);
    if (row !== null) choose(row, true);
  };
  timeline.addEventListener('pointerup', released);
  timeline.addEventListener('pointercancel', released);
  for (const button of document.querySelectorAll('[data-zoom]')) {
    button.addEventListener('click', () => ZOOMS[button.dataset.zoom]());
  }
}
