// What is looked at: one object that every part reads, and the link that names it.

const $ = (id) => document.getElementById(id);
let D; // the data

const V = {
  axis: "time", // or "rank"
  left: 0, right: 1, // in units of the axis
  scroll: 0, // of the lanes, in pixels
  selected: -1, // an operation
  fault: null,
  hover: -1,
  key: null, client: null, name: null, text: "", from: -Infinity, to: Infinity, overlap: false, // filters
  error: 0, // a place in `errors`
  errors: [], // keys that are not linearizable, or, if there are none, undecided ones
  step: null, // { key, at }: how many operations of the order have taken effect
  rows: [], // see lanes.js
  unit: { call: null, end: null, point: null }, // times on the axis, by operation
  moments: null, // the moments that the rank axis counts
};

const ROW = 22, AXIS = 26, GUTTER = 124, BAR = 15, FAULT_ROW = 17;

function el(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.startsWith("on")) element[name] = value;
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Between times and the axis.

function toUnit(time) {
  if (V.axis === "time" || !V.moments) return time;
  const moments = V.moments, n = moments.length;
  if (!n || time <= moments[0]) return 0;
  if (time >= moments[n - 1]) return n - 1 + (time === moments[n - 1] ? 0 : 1);
  const after = firstAbove(n, (i) => moments[i], time);
  const before = moments[after - 1];
  return after - 1 + (time - before) / (moments[after] - before);
}

function toTime(unit) {
  if (V.axis === "time" || !V.moments) return unit;
  const moments = V.moments, n = moments.length;
  const low = Math.max(0, Math.min(n - 1, Math.floor(unit)));
  const high = Math.min(n - 1, low + 1);
  return moments[low] + (moments[high] - moments[low]) * Math.max(0, Math.min(1, unit - low));
}

// The first i below n with at(i) > value, for rising at.
function firstAbove(n, at, value) {
  let low = 0, high = n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(middle) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

const start = () => toUnit(D.first);
const finish = () => Math.max(V.axis === "rank" && V.moments ? V.moments.length : D.last, start() + 1);

function show(left, right) {
  const least = V.axis === "rank" ? 2 : 20, all = finish() - start();
  const width = Math.min(Math.max(right - left, least), all * 1.2);
  const middle = Math.min(Math.max((left + right) / 2, start()), finish());
  V.left = middle - width / 2;
  V.right = middle + width / 2;
  changed();
}

function zoom(factor, around = (V.left + V.right) / 2) {
  show(around - (around - V.left) * factor, around + (V.right - around) * factor);
}

function pan(share) {
  const by = (V.right - V.left) * share;
  show(V.left + by, V.right + by);
}

function setAxis(axis) {
  if (axis === V.axis) return;
  if (!D.complete) return afterReading(() => setAxis(axis));
  const [left, right] = [toTime(V.left), toTime(V.right)];
  V.axis = axis;
  layOut();
  show(toUnit(left), toUnit(right));
  $("axis").textContent = axis === "time" ? "time axis" : "rank axis";
  $("axis").setAttribute("aria-pressed", axis === "rank");
}

// The window that shows these operations and some of what is around them.
function frameOf(ops) {
  let from = Infinity, to = -Infinity;
  for (const op of ops) {
    if (!D.known[op]) continue;
    from = Math.min(from, D.call[op]);
    to = Math.max(to, D.end[op] === Infinity ? D.call[op] : D.end[op]);
  }
  const [left, right] = [toUnit(from), toUnit(to)];
  const margin = Math.max((right - left) * 0.3, V.axis === "rank" ? 6 : D.usual * 1.5);
  return [left - margin, right + margin];
}

const errorKey = () => V.errors[V.error];

// The operations that matter for a key: the witness, or where the search ended.
function focusOf(key) {
  if (!key) return [];
  if (key.status === BAD) return key.witness;
  return key.reached === null || key.reached === undefined ? [] : [key.reached];
}

function goToError(place) {
  if (!V.errors.length) return;
  V.error = (place + V.errors.length) % V.errors.length;
  const key = errorKey();
  Object.assign(V, { client: null, name: null, text: "", from: -Infinity, to: Infinity, fault: null, selected: -1 });
  V.key = key.index;
  V.step = null;
  V.scroll = 0;
  const focus = focusOf(key);
  if (!focus.every((op) => D.known[op])) afterReading(() => errorKey() === key && goToError(V.error));
  layOut();
  syncFilters();
  if (focus.some((op) => D.known[op])) show(...frameOf(focus));
  describe();
}

function select(op, bring) {
  if (op >= 0 && !D.known[op]) return afterReading(() => select(op, bring));
  V.selected = op;
  V.fault = null;
  if (op >= 0 && bring) {
    if (rowOf(op) < 0) {
      Object.assign(V, { key: D.key[op], client: null, name: null, text: "", from: -Infinity, to: Infinity, overlap: false });
      layOut();
      syncFilters();
    }
    scrollTo(rowOf(op));
    const [left, right] = frameOf([op]);
    const width = Math.max(right - left, Math.min(V.right - V.left, (right - left) * 8));
    show((left + right - width) / 2, (left + right + width) / 2);
  }
  describe();
  changed();
}

// A link to what is in view, in times: they mean the same on both axes.
let linkTimer = 0;
function updateLink() {
  // Until then the link is what the reader asked for.
  if (!drawn) return;
  clearTimeout(linkTimer);
  linkTimer = setTimeout(() => {
    const parts = [];
    if (V.key !== null) parts.push(`key=${encodeURIComponent(D.keys[V.key].name)}`);
    parts.push(`t=${Math.round(toTime(V.left))}-${Math.round(toTime(V.right))}`);
    if (V.selected >= 0) parts.push(`op=${V.selected}`);
    if (V.axis === "rank") parts.push("axis=rank");
    lastLink = `#${parts.join("&")}`;
    try {
      history.replaceState(null, "", lastLink);
    } catch {
      // Some browsers do not allow it for files, or not so often; the next change tries again.
    }
  }, 250);
}

let lastLink = "";
function followLink() {
  if (location.hash === lastLink || location.hash.length < 2) return false;
  const wanted = {};
  for (const part of location.hash.slice(1).split("&")) {
    const [name, value = ""] = part.split("=");
    try {
      wanted[name] = decodeURIComponent(value);
    } catch {
      return false; // not one of ours
    }
  }
  if (wanted.axis === "rank" || wanted.axis === "time") setAxis(wanted.axis);
  if (wanted.key !== undefined) {
    const key = D.keys.find((key) => key.name === wanted.key);
    V.key = key ? key.index : V.key;
    layOut();
    syncFilters();
  }
  const op = /^\d+$/.test(wanted.op || "") ? Number(wanted.op) : -1;
  const times = /^(-?\d+)-(-?\d+)$/.exec(wanted.t || "");
  if (op >= 0 && op < D.n) select(op, true);
  if (times) show(toUnit(Number(times[1])), toUnit(Number(times[2])));
  return true;
}

// Most of a large history is read while its beginning, or its error, is looked at already. What needs all of it waits.
const waiting = [];
function afterReading(action) {
  if (D.complete) action();
  else waiting.push(action);
}

let frame = 0;
function changed() {
  updateLink();
  if (!frame) frame = requestAnimationFrame(paintNow);
}

function paintNow() {
  cancelAnimationFrame(frame);
  frame = 0;
  paintAll();
}
