// Begins: fills the page, and listens to what the user does.

let waiting = false;
const MOST_LISTED = 1000;

/** The time or the filter has changed: everything that depends on it is drawn once before the next picture. */
function viewChanged() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    redraw();
  });
}

function redraw() {
  const step = (view.to - view.from) / 100;
  const [from, to] = [Math.max(view.from, whole.first), Math.min(view.to, whole.last)];
  document.getElementById('range').textContent = seconds(from, step) + ' to ' + seconds(to, step);
  collect();
  drawTimeline();
  drawList();
  drawHistogram();
}

function showFacts() {
  const { began, totals, cut } = facts;
  const lasts = rows.count ? rows.lastEnd[rows.count - 1] - rows.firstAt[0] : 0;
  const parts = [began ? 'from ' + began.replace('T', ' ').replace('Z', ' UTC') : 'empty', length(lasts),
    counted(totals.connections, 'connection') + ' to ' + counted(totals.instruments, 'instrument'), counted(totals.images, 'image')];
  if (totals.noise_bytes) parts.push(counted(totals.noise_bytes, 'byte') + ' in no frame');
  if (totals.missing_bytes) parts.push(counted(totals.missing_bytes, 'byte') + ' not in the recording');
  if (totals.unfinished) parts.push(counted(totals.unfinished, 'command') + ' open at its end');
  if (totals.clock_steps) parts.push('clock set ' + counted(totals.clock_steps, 'time'));
  if (lanes.all.length > lanes.count) parts.push(lanes.all.length + ' connections share ' + lanes.count + ' lanes');
  document.getElementById('about').textContent = parts.join(', ');
  const warnings = [];
  if (cut) warnings.push('The recording could not be read to its end: ' + cut + '.');
  const skipped = [[totals.broken_blocks, 'broken block'], [totals.broken_options, 'broken option'],
    [totals.incomplete_ip_packets, 'incomplete IP packet']].filter(([count]) => count).map(([count, what]) => counted(count, what));
  if (skipped.length) warnings.push('Cannot be read and was skipped: ' + skipped.join(', ') + '.');
  if (facts.rows > rows.count) warnings.push('The page shows the first ' + rows.count + ' of ' + facts.rows + ' rows. The table counts all.');
  const warning = document.getElementById('warning');
  warning.hidden = warnings.length === 0;
  warning.textContent = warnings.join(' ');
  const select = document.getElementById('connection');
  const listed = lanes.all.slice(0, MOST_LISTED), more = lanes.all.length - listed.length;
  for (const { number, first } of listed) {
    select.append(element('option', { value: number, textContent: number + ' ' + rows.text[first].split(',')[0].slice(0, 60) }));
  }
  if (more > 0) select.append(element('option', { disabled: true, textContent: more + ' more connections are not in this menu' }));
}

function showAll() {
  Object.assign(filter, { words: [], connection: 0, problems: false, kinds: new Set() });
  document.getElementById('search').value = '';
  document.getElementById('connection').value = '0';
  document.getElementById('problems').checked = false;
  for (const button of document.querySelectorAll('#kinds button')) button.setAttribute('aria-pressed', false);
  setCode(null);
  setView(whole.from, whole.to);
}

function listenToTools() {
  const search = document.getElementById('search');
  let timer = 0;
  search.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      filter.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      filterChanged();
    }, 120);
  });
  document.getElementById('connection').addEventListener('change', (event) => {
    filter.connection = Number(event.target.value);
    filterChanged();
  });
  document.getElementById('problems').addEventListener('change', (event) => {
    filter.problems = event.target.checked;
    filterChanged();
  });
  document.getElementById('next').addEventListener('click', () => chooseProblem(1));
  document.getElementById('reset').addEventListener('click', showAll);
  list.addEventListener('scroll', () => drawList(), { passive: true });
}

const KEYS = {
  '+': ZOOMS.in, '=': ZOOMS.in, '-': ZOOMS.out, '0': ZOOMS.all, n: () => chooseProblem(1), p: () => chooseProblem(-1),
  '/': () => document.getElementById('search').focus(),
};
const LIST_KEYS = {
  ArrowDown: () => chooseBy(1), ArrowUp: () => chooseBy(-1), PageDown: () => chooseBy(20), PageUp: () => chooseBy(-20),
  Home: () => chooseBy(-Infinity), End: () => chooseBy(Infinity),
};
const TIMELINE_KEYS = { ArrowLeft: ZOOMS.left, ArrowRight: ZOOMS.right, ArrowUp: ZOOMS.in, ArrowDown: ZOOMS.out };

function listenToKeys() {
  const press = (event, does) => {
    if (!does || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    does();
  };
  list.addEventListener('keydown', (event) => press(event, LIST_KEYS[event.key]));
  timeline.addEventListener('keydown', (event) => press(event, TIMELINE_KEYS[event.key]));
  document.addEventListener('keydown', (event) => {
    const isTyped = ['INPUT', 'SELECT'].includes(event.target.tagName) && event.target.type !== 'checkbox';
    if (isTyped && event.key === 'Escape') press(event, () => event.target.blur());
    if (!isTyped) press(event, KEYS[event.key]);
  });
}

readColours();
showFacts();
drawKinds();
drawCodes();
drawSilences();
listenToTimeline();
listenToTools();
listenToKeys();
redraw();
new ResizeObserver(() => viewChanged()).observe(document.body);
for (const query of ['(prefers-color-scheme: dark)', '(max-width: 720px)']) {
  matchMedia(query).addEventListener('change', () => {
    readColours();
    viewChanged();
  });
}
