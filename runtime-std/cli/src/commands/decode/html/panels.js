// What stands beside the list: the histogram of the delays, the longest silences, the commands, and the
// counts of each kind.

const SILENCES = 5, SHORTEST_SILENCE = 1e6, BINS_PER_DECADE = 5;
const histogram = document.getElementById('histogram');

/** The delays of the answers in the list that came in time, in µs, sorted. */
function delaysOfList() {
  const found = listed.filter((row) => ['answered', 'solicited'].includes(kinds[rows.kind[row]]) && rows.duration[row] >= 0);
  return Float64Array.from(found, (row) => rows.duration[row]).sort();
}

function drawHistogram() {
  const delays = delaysOfList();
  const { context, width, height } = prepared(histogram, 130);
  const text = document.getElementById('delays');
  if (delays.length === 0) {
    text.textContent = 'No answers among these rows.';
    histogram.setAttribute('aria-label', text.textContent);
    return;
  }
  const of = (percent) => delays[Math.min(delays.length - 1, Math.max(0, Math.ceil(percent / 100 * delays.length) - 1))];
  text.textContent = counted(delays.length, 'answer') + ': median ' + length(of(50)) + ', 99 % ' + length(of(99))
    + ', longest ' + length(delays[delays.length - 1]);
  histogram.setAttribute('aria-label', text.textContent);
  const decade = (us) => Math.log10(Math.max(1, us));
  const low = Math.floor(decade(delays[0])), high = Math.max(low + 1, Math.ceil(decade(delays[delays.length - 1]) + 1e-9));
  const bins = new Uint32Array((high - low) * BINS_PER_DECADE);
  for (const delay of delays) bins[Math.min(bins.length - 1, Math.floor((decade(delay) - low) * BINS_PER_DECADE))] += 1;
  const most = Math.max(...bins), bottom = height - 18, bar = width / bins.length;
  const fits = context.measureText(most).width + 4 < bar; // else one number is for all bars
  context.textBaseline = 'top';
  for (let nth = 0; nth < bins.length; nth += 1) {
    const tall = bins[nth] === 0 ? 0 : Math.max(2, bins[nth] / most * (bottom - 16));
    context.fillStyle = colours.answered;
    context.fillRect(nth * bar + 0.5, bottom - tall, Math.max(1, bar - 1), tall);
    if (bins[nth] > 0 && (fits || bins[nth] === most)) {
      context.fillStyle = colours.faint;
      const half = context.measureText(bins[nth]).width / 2, middle = (nth + 0.5) * bar;
      context.textAlign = 'center';
      context.fillText(bins[nth], Math.min(width - half, Math.max(half, middle)), bottom - tall - 14);
    }
  }
  context.fillStyle = colours.faint;
  for (let power = low; power <= high; power += 1) {
    const at = (power - low) * BINS_PER_DECADE * bar;
    context.fillRect(Math.min(width - 1, at), bottom, 1, 4);
    context.textAlign = power === low ? 'left' : power === high ? 'right' : 'center';
    const unit = power < 3 ? 10 ** power + ' µs' : power < 6 ? 10 ** (power - 3) + ' ms' : 10 ** (power - 6) + ' s';
    context.fillText(unit, at, bottom + 5);
  }
}

/** The longest times between two rows: nobody sent anything. */
function drawSilences() {
  const found = [];
  let last = rows.count ? rows.at[0] : 0;
  for (let row = 0; row < rows.count; row += 1) {
    const at = rows.at[row];
    if (at - last >= SHORTEST_SILENCE) found.push([last, at]);
    // An answer ends a silence, too.
    last = Math.max(last, at, kinds[rows.kind[row]] === 'answered' ? endOf(rows, row) : at);
  }
  found.sort((a, b) => (b[1] - b[0]) - (a[1] - a[0]));
  const buttons = found.slice(0, SILENCES).map(([from, to]) => {
    const button = element('button', { type: 'button', textContent: length(to - from) + ' from ' + seconds(from, 1000) });
    const edge = (to - from) * 0.2;
    button.addEventListener('click', () => setView(from - edge, to + edge));
    return button;
  });
  const none = element('p', { className: 'quiet', textContent: 'None of a second or more.' });
  document.getElementById('silences').replaceChildren(...(buttons.length ? buttons : [none]));
}

const COLUMNS = [
  ['commands', 'sent'], ['answered', 'answered'], ['unanswered', 'no answer'], ['late', 'late'], ['ambiguous', 'ambiguous'],
  ['p50_ms', 'median'], ['p99_ms', '99 %'], ['unsolicited', 'events'], ['unfinished', 'open at the end'], ['presumed', 'presumed'],
];

/** A row for each code. Columns without a value are left out. */
function drawCodes() {
  const columns = COLUMNS.filter(([key]) => facts.codes.some((code) => code[key]));
  const shown = (key, value) => !value ? '' : key.endsWith('_ms') ? length(value * 1000) : String(value);
  const body = document.querySelector('#codes tbody'), head = document.querySelector('#codes thead tr');
  head.append(...columns.map(([, name]) => element('th', { scope: 'col', textContent: name })));
  for (const code of facts.codes) {
    const button = element('button', { type: 'button', textContent: codeName(code.code) });
    button.dataset.code = code.code;
    button.addEventListener('click', () => setCode(filter.code === code.code ? null : code.code));
    const row = element('tr', {}, element('th', { scope: 'row' }, button));
    for (const [key] of columns) {
      const value = shown(key, code[key]), isBad = value && ['unanswered', 'late', 'ambiguous'].includes(key);
      const cell = element('td', { textContent: value, className: isBad ? 'problem' : '' });
      cell.dataset.key = key;
      row.append(cell);
    }
    body.append(row);
  }
}

function setCode(code) {
  filter.code = code;
  for (const button of document.querySelectorAll('#codes button')) {
    button.setAttribute('aria-pressed', Number(button.dataset.code) === code);
  }
  filterChanged();
}

/** A button for each kind that occurs, with its count. Problems are first. */
function drawKinds() {
  const counts = new Map();
  for (let row = 0; row < rows.count; row += 1) {
    const kind = shownKind(row);
    counts.set(kind, (counts.get(kind) || 0) + 1);
  }
  const order = Object.keys(WORDS);
  const sorted = [...counts].sort(([a], [b]) => (PROBLEMS.has(b) - PROBLEMS.has(a)) || order.indexOf(a) - order.indexOf(b));
  const buttons = sorted.map(([kind, count]) => {
    const button = element('button', { type: 'button', className: 'kind ' + kind });
    button.append(element('b', { textContent: count }), ' ' + (WORDS[kind] || kind));
    button.dataset.kind = kind;
    button.setAttribute('aria-pressed', false);
    button.addEventListener('click', () => {
      if (!filter.kinds.delete(kind)) filter.kinds.add(kind);
      button.setAttribute('aria-pressed', filter.kinds.has(kind));
      filterChanged();
    });
    return button;
  });
  document.getElementById('kinds').replaceChildren(...buttons);
}
