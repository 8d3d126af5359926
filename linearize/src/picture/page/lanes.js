// Which operations are shown, and in which rows: for each key a heading and a row for each of its clients.

// Rows are { key } for a heading and { key, client, ops } for a lane, whose operations do not overlap.
function layOut() {
  const passes = filter();
  const witness = new Set(focusOf(errorKey()));
  V.rows = [];
  V.shown = 0;
  for (const key of D.sorted) {
    if (V.key !== null && key.index !== V.key) continue;
    const lanes = new Map();
    for (const op of key.ops) {
      if (!passes(op)) continue;
      const lane = lanes.get(D.client[op]);
      if (lane) lane.push(op);
      else lanes.set(D.client[op], [op]);
      V.shown++;
    }
    if (!lanes.size) continue;
    V.rows.push({ key });
    const involved = new Set([...witness].filter((op) => D.key[op] === key.index).map((op) => D.client[op]));
    // Clients of the witness first, so that it is in view however many others there are.
    const clients = [...lanes.keys()].sort((a, b) =>
      involved.has(b) - involved.has(a) || D.clients[a] - D.clients[b]);
    for (const client of clients) V.rows.push({ key, client, ops: lanes.get(client) });
  }
  rowIndex = null;
  measure();
  V.scroll = Math.max(0, Math.min(V.scroll, V.rows.length * ROW));
  paintOverviewLater();
  changed();
}

function filter() {
  const tests = [];
  if (V.client !== null) tests.push((op) => D.client[op] === V.client);
  if (V.name !== null) tests.push((op) => D.name[op] === V.name);
  if (V.from > -Infinity) tests.push((op) => D.end[op] >= V.from);
  if (V.to < Infinity) tests.push((op) => D.call[op] <= V.to);
  if (V.text) {
    const contains = D.texts.containing(V.text);
    const named = new Set(D.names.flatMap((name, index) => D.texts.text(name.text).includes(V.text) ? [index] : []));
    tests.push((op) => contains(D.argument[op]) || contains(D.result[op]) || named.has(D.name[op]));
  }
  if (V.overlap) {
    const focus = focusOf(errorKey());
    tests.push((op) => focus.some((other) => D.call[op] <= D.end[other] && D.call[other] <= D.end[op]));
  }
  return (op) => tests.every((test) => test(op));
}

// The places of all operations on the axis. Ranks count the calls and returns of what is shown; equal times share one.
function measure() {
  if (V.axis === "time") {
    V.moments = null;
    V.unit = { call: D.call, end: D.end, point: D.point };
    return;
  }
  const times = new Float64Array(V.shown * 2);
  let count = 0;
  for (const row of V.rows) for (const op of row.ops || []) {
    times[count++] = D.call[op];
    if (D.end[op] < Infinity) times[count++] = D.end[op];
  }
  const sorted = times.subarray(0, count).sort();
  let distinct = 0;
  for (let i = 0; i < count; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[distinct++] = sorted[i];
  V.moments = sorted.slice(0, distinct);
  const place = new Map();
  V.moments.forEach((time, rank) => place.set(time, rank));
  const unit = { call: new Float64Array(D.n), end: new Float64Array(D.n), point: new Float64Array(D.n) };
  const rankOf = (time) => place.get(time) ?? toUnit(time);
  for (const row of V.rows) for (const op of row.ops || []) {
    unit.call[op] = rankOf(D.call[op]);
    unit.end[op] = D.end[op] < Infinity ? rankOf(D.end[op]) : Infinity;
    unit.point[op] = rankOf(D.point[op]);
  }
  V.unit = unit;
}

// The row of each key's client, or -1; made anew when rows change.
let rowIndex = null;
function laneOf(op) {
  const clients = D.clients.length;
  if (!rowIndex) {
    rowIndex = new Int32Array(D.keys.length * clients).fill(-1);
    V.rows.forEach((row, index) => {
      if (row.ops) rowIndex[row.key.index * clients + row.client] = index;
    });
  }
  return rowIndex[D.key[op] * clients + D.client[op]];
}

// The row of an operation, or -1 if it does not pass the filters.
function rowOf(op) {
  const index = laneOf(op);
  if (index < 0) return -1;
  const ops = V.rows[index].ops;
  const at = firstAbove(ops.length, (i) => ops[i], op) - 1;
  return ops[at] === op ? index : -1;
}

function scrollTo(row) {
  const room = laneHeight();
  const top = row * ROW;
  if (row < 0 || (top >= V.scroll && top + ROW <= V.scroll + room)) return;
  V.scroll = Math.max(0, top - room / 2);
}

// The lanes of faults: a row for each that overlaps another of its group.
function faultRows() {
  const rows = [];
  for (const group of D.groups) {
    if (group.hidden) continue;
    const ends = [];
    for (const fault of group.faults) {
      let row = ends.findIndex((end) => end < fault.from);
      if (row < 0) row = Math.min(ends.push(0) - 1, 3);
      ends[row] = fault.to;
      fault.row = row;
    }
    for (let row = 0; row < Math.min(ends.length, 4); row++) {
      rows.push({ group, first: row === 0, faults: group.faults.filter((fault) => fault.row === row) });
    }
  }
  return rows;
}

// The operation at a place of the canvas, or -1.
function operationAt(x, y) {
  if (x < GUTTER || y < AXIS || y > AXIS + laneHeight()) return -1;
  const row = V.rows[Math.floor((y - AXIS + V.scroll) / ROW)];
  if (!row || !row.ops) return -1;
  const slack = 3 / scale();
  const unit = unitAt(x);
  // The last that was called before here, or the next one if it is within reach.
  const next = firstAbove(row.ops.length, (i) => V.unit.call[row.ops[i]], unit + slack);
  for (const op of [row.ops[next - 1], row.ops[next - 2]]) {
    if (op !== undefined && V.unit.end[op] >= unit - slack) return op;
  }
  return -1;
}

function faultAt(x, y) {
  const rows = faultRows();
  const top = canvasHeight() - rows.length * FAULT_ROW;
  const row = rows[Math.floor((y - top) / FAULT_ROW)];
  if (y < top || !row || x < GUTTER) return null;
  const slack = 4 / scale(), unit = unitAt(x);
  return row.faults.find((fault) => toUnit(fault.from) - slack <= unit && unit <= faultEnd(fault) + slack) || null;
}

const faultEnd = (fault) => fault.to === Infinity ? finish() : toUnit(fault.to);
