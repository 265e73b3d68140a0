'use strict';
// Reads the blocks of data. `rows` has a column for each value of a row.

const PRESUMED = 1, AMBIGUOUS = 2, AGAIN = 3;
const facts = JSON.parse(document.getElementById('facts').textContent);
const kinds = facts.kinds;
// Frames of the instrument in rows of their own, after the command that they answer.
const AFTER_COMMAND = new Set(['late', 'solicited', 'ambiguous']);
const kindReachesBack = kinds.map((kind) => AFTER_COMMAND.has(kind));
const codes = new Map(facts.codes.map((code) => [code.code, code]));
const rows = readRows(facts.shown);

function readRows(count) {
  const columns = {
    count,
    kind: new Uint8Array(count),
    at: new Float64Array(count),
    connection: new Float64Array(count),
    code: new Float64Array(count),
    duration: new Float64Array(count),
    mark: new Uint8Array(count),
    text: new Array(count),
    payload: new Map(),
    // For a search by time, although rows may be out of order.
    lastEnd: new Float64Array(count),
    firstAt: new Float64Array(count),
  };
  const texts = [];
  let row = 0;
  for (const block of document.querySelectorAll('script.rows')) {
    for (const [kind, at, connection, code, duration, mark, text, payload] of JSON.parse(block.textContent)) {
      columns.kind[row] = kind;
      columns.at[row] = at;
      columns.connection[row] = connection;
      columns.code[row] = code;
      columns.duration[row] = duration;
      columns.mark[row] = mark;
      if (Array.isArray(text)) texts.push(text[0]);
      columns.text[row] = typeof text === 'number' ? texts[text] : Array.isArray(text) ? text[0] : text;
      if (payload !== undefined) columns.payload.set(row, payload);
      row += 1;
    }
    block.remove();
  }
  let end = -Infinity;
  for (row = 0; row < count; row += 1) {
    end = Math.max(end, endOf(columns, row));
    columns.lastEnd[row] = end;
  }
  let at = Infinity;
  for (row = count - 1; row >= 0; row -= 1) {
    at = Math.min(at, beginOf(columns, row));
    columns.firstAt[row] = at;
  }
  return columns;
}

/** Whether the command of a row is before its time. */
function reachesBack(columns, row) {
  return kindReachesBack[columns.kind[row]] || columns.mark[row] === AGAIN;
}

/** A row lasts from its command to its answer, whichever of them gives its time. */
function endOf(columns, row) {
  return columns.at[row] + (reachesBack(columns, row) ? 0 : Math.max(0, columns.duration[row]));
}

function beginOf(columns, row) {
  return columns.at[row] - (reachesBack(columns, row) ? Math.max(0, columns.duration[row]) : 0);
}

/** The first number below `count` for which `holds`, which holds for all numbers after it. */
function first(count, holds) {
  let low = 0, high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle; else low = middle + 1;
  }
  return low;
}

/** The rows that can be between two times: from the first up to the second number. */
function between(from, to) {
  return [first(rows.count, (row) => rows.lastEnd[row] >= from), first(rows.count, (row) => rows.firstAt[row] > to)];
}

/** The kind of a row for colours and counts: its kind, or why it is in doubt. */
function shownKind(row) {
  return rows.mark[row] === AMBIGUOUS ? 'ambiguous' : kinds[rows.kind[row]];
}

const PROBLEMS = new Set(['silent', 'late', 'ambiguous', 'no_image', 'noise', 'hole', 'rest', 'reset', 'clock_step']);
const WORDS = {
  answered: 'answered', silent: 'no answer', command: 'no answer expected', unsolicited: 'event', late: 'late',
  ambiguous: 'ambiguous', image: 'image', no_image: 'no image', noise: 'noise', hole: 'missing', rest: 'incomplete',
  clock_step: 'clock was set', open: 'answer is below', solicited: 'answer', unfinished: 'recording ends',
  opened: 'opened', closed: 'closed', reset: 'reset',
};

function isProblem(row) {
  return PROBLEMS.has(shownKind(row));
}

function codeName(code) {
  const known = codes.get(code);
  return (known && known.name) || '0x' + code.toString(16).toUpperCase().padStart(4, '0');
}

/** Seconds since the first row, with as many digits as `step` (in µs) needs. */
function seconds(at, step = 1) {
  const digits = Math.min(6, Math.max(0, Math.ceil(6 - Math.log10(Math.max(1, step)))));
  return (at / 1e6).toFixed(digits) + ' s';
}

function length(us) {
  if (us < 1000) return us.toFixed(0) + '\u00a0µs';
  if (us < 1e6) return (us / 1000).toFixed(us < 1e4 ? 2 : 1) + '\u00a0ms';
  return (us / 1e6).toFixed(2) + '\u00a0s';
}

/** A number and what is counted, in the plural unless it is one. */
function counted(number, what) {
  return number + ' ' + what + (number === 1 ? '' : 's');
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
