// The rows: which are shown, the list of them, and the row that is chosen. Only the rows on the screen
// are in the document.

const list = document.getElementById('list'), space = document.getElementById('space');
const filter = { words: [], connection: 0, problems: false, kinds: new Set(), code: null };
let matching = null; // one byte for each row, or null if all rows match
let listed = []; // the numbers of the rows that match and are in the time that is shown
let chosen = null;

function isShown(row) {
  return matching === null || matching[row] === 1;
}

/** Text that a search looks at, in lower case. */
function searched(row) {
  const code = rows.code[row];
  const name = code < 0 ? '' : ' 0x' + code.toString(16) + ' ' + codeName(code);
  return (rows.text[row] + name + ' ' + WORDS[shownKind(row)] + ' ' + (rows.payload.get(row) || '')).toLowerCase();
}

function matches(row) {
  return (filter.connection === 0 || rows.connection[row] === filter.connection)
    && (filter.code === null || rows.code[row] === filter.code)
    && (!filter.problems || isProblem(row))
    && (filter.kinds.size === 0 || filter.kinds.has(shownKind(row)))
    && (filter.words.length === 0 || matchesWords(row));
}

function matchesWords(row) {
  const text = searched(row);
  return filter.words.every((word) => text.includes(word));
}

function isFiltered() {
  return filter.words.length > 0 || filter.connection !== 0 || filter.problems || filter.kinds.size > 0 || filter.code !== null;
}

function filterChanged() {
  matching = null;
  if (isFiltered()) {
    const found = new Uint8Array(rows.count);
    for (let row = 0; row < rows.count; row += 1) found[row] = matches(row) ? 1 : 0;
    matching = found;
  }
  viewChanged();
}

/** Collects the rows of the list again. */
function collect() {
  const [from, to] = between(view.from, view.to);
  listed = [];
  for (let row = from; row < to; row += 1) {
    if (isShown(row) && endOf(rows, row) >= view.from && beginOf(rows, row) <= view.to) listed.push(row);
  }
  const all = facts.rows === rows.count ? rows.count : rows.count + ' shown of ' + facts.rows;
  document.getElementById('count').textContent = listed.length + ' of ' + all + ' rows';
  const isZoomed = view.from > whole.from || view.to < whole.to;
  document.getElementById('reset').hidden = !isZoomed && !isFiltered();
}

function rowHeight() {
  return parseFloat(getComputedStyle(list).getPropertyValue('--row'));
}

function drawList() {
  const height = rowHeight();
  space.style.height = listed.length * height + 'px';
  const from = Math.max(0, Math.floor(list.scrollTop / height) - 5);
  const to = Math.min(listed.length, from + Math.ceil(list.clientHeight / height) + 10);
  const shown = [];
  for (let nth = from; nth < to; nth += 1) shown.push(listRow(listed[nth], nth, height));
  const none = element('p', { className: 'quiet', textContent: 'No row matches in the time that is shown.' });
  space.replaceChildren(...(listed.length ? shown : [none]));
  if (chosen === null) list.removeAttribute('aria-activedescendant');
  else list.setAttribute('aria-activedescendant', 'row' + chosen);
}

function listRow(row, nth, height) {
  const kind = shownKind(row);
  const made = element('div', { id: 'row' + row, className: 'row' + (isProblem(row) ? ' problem' : '') },
    element('span', { className: 'at', textContent: (rows.at[row] / 1e6).toFixed(6) }),
    element('span', { className: 'connection', textContent: rows.connection[row] }),
    element('span', { className: 'kind ' + kind, textContent: WORDS[kind] || kind }),
    element('span', { className: 'what', textContent: rows.text[row] }),
    element('span', { className: 'delay', textContent: rows.duration[row] < 0 ? '' : length(rows.duration[row]) }));
  made.style.top = nth * height + 'px';
  made.setAttribute('role', 'option');
  made.setAttribute('aria-selected', row === chosen);
  made.addEventListener('click', () => choose(row, false));
  return made;
}

/** Chooses a row: shows all of it, and its place in the list and, if wanted, scrolls there. */
function choose(row, scroll) {
  chosen = row;
  zoomTo(row);
  if (waiting) redraw(); // the time has changed, and with it the list
  if (scroll) scrollTo(row);
  drawList();
  drawTimeline();
  drawDetail();
}

function place(row) {
  const nth = first(listed.length, (nth) => listed[nth] >= row);
  return listed[nth] === row ? nth : -1;
}

function scrollTo(row) {
  const nth = place(row), height = rowHeight();
  if (nth < 0) return;
  const top = nth * height;
  if (top < list.scrollTop || top + height > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 2;
  }
}

/** Chooses the row that is `step` further in the list. */
function chooseBy(step) {
  if (listed.length === 0) return;
  const now = chosen === null ? 0 : first(listed.length, (nth) => listed[nth] >= chosen);
  // Forward from a row that is not in the list, the row at its place is the next one.
  const next = now + step - (listed[now] !== chosen && step > 0 ? 1 : 0);
  choose(listed[Math.max(0, Math.min(listed.length - 1, next))], true);
}

/** Chooses the next row with a problem among the rows that match, in the whole recording. */
function chooseProblem(step) {
  const start = chosen === null ? (step > 0 ? -1 : rows.count) : chosen;
  for (let away = 1; away <= rows.count; away += 1) {
    const row = (start + step * away + 2 * rows.count) % rows.count;
    if (isShown(row) && isProblem(row)) {
      choose(row, true);
      return;
    }
  }
}

function drawDetail() {
  const row = chosen;
  const kind = shownKind(row);
  const values = [
    ['Time', seconds(rows.at[row])], ['Connection', rows.connection[row]], ['Kind', WORDS[kind] || kind],
    ['Code', rows.code[row] < 0 ? '' : codeName(rows.code[row]) + ' (0x' + rows.code[row].toString(16).toUpperCase().padStart(4, '0') + ')'],
    [kind === 'silent' || kind === 'unfinished' ? 'Waited' : 'Delay', rows.duration[row] < 0 ? '' : length(rows.duration[row])],
    ['Proof', rows.mark[row] === PRESUMED ? 'presumed: a push looks the same' : ''],
  ];
  const facts = element('dl');
  for (const [name, value] of values.filter(([, value]) => value !== '')) {
    facts.append(element('dt', { textContent: name }), element('dd', { textContent: value }));
  }
  const detail = document.getElementById('detail');
  detail.replaceChildren(facts, element('p', { className: 'text', textContent: rows.text[row] }));
  const payload = rows.payload.get(row);
  if (payload !== undefined) detail.append(element('pre', { textContent: payload }));
}
