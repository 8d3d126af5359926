// The window on the run, and what moves it: keys, mouse, buttons, the link.

const view = { from: 0, to: 1, cursor: -1, search: "", kind: "", node: "", cone: false, coneSet: new Set(), split: null, beside: true };
let failing, passing, stage, second, drawn = false;

const QUIET = new Set(["spawn", "block", "wake", "lock", "span", "disk"]);

function kindShown(e) { return !view.kind || e.kind === view.kind || e.target.split(".").pop() === view.kind; }

// Whether an event passes the filters.
function shown(e) {
  if (view.kind ? !kindShown(e) : QUIET.has(e.kind)) return false;
  if (view.node && e.node !== view.node && e.f.to !== view.node) return false;
  return !view.search || matches(e);
}

function matches(e) {
  const wanted = view.search.toLowerCase(), call = failing.callOf.get(e.i);
  if (/^#\d+$/.test(wanted)) return call !== undefined && `#${call.number}` === wanted;
  return `${e.node} ${e.kind} ${e.target} ${e.text}`.toLowerCase().includes(wanted) || (call && e.f.leg === "request" && (call.args?.text ?? "").toLowerCase().includes(wanted));
}

function choose(index, center) {
  view.cursor = index;
  view.coneSet = view.cone && index >= 0 ? causes(failing, index) : new Set();
  const t = failing.events[index]?.t ?? 0, span = view.to - view.from;
  if (center && (t < view.from + span * 0.05 || t > view.to - span * 0.05)) move(t - span / 2, t + span / 2);
  changed();
}

function move(from, to) {
  const least = 2000, most = Math.max(failing.end, passing?.end ?? 0) * 1.02;
  let span = Math.min(Math.max(to - from, least), most);
  from = Math.max(-span * 0.02, Math.min(from, most - span));
  [view.from, view.to] = [from, from + span];
}

function zoom(factor, at = (view.from + view.to) / 2) {
  move(at - (at - view.from) * factor, at + (view.to - at) * factor);
  changed();
}

function step(direction) {
  let i = view.cursor < 0 ? stage.first(failing.events, view.from) : view.cursor;
  do i += direction; while (failing.events[i] && (!shown(failing.events[i]) || isMerged(failing, failing.events[i])));
  if (failing.events[i]) choose(i, true);
}

function toViolation() {
  const v = failing.verdict;
  if (!v) return;
  const span = Math.min(failing.end, 400e6);
  move(v.t - span * 0.8, v.t + span * 0.2);
  choose(v.i, false);
}

let waiting = false, slow = 0, last = 0, pace = 0;
function changed() {
  const now = performance.now();
  pace = now - last < 100 ? now - last : 0;
  last = now;
  if (!waiting) {
    waiting = true;
    requestAnimationFrame(() => { waiting = false; render(); });
  }
  // Texts follow when the picture stands still; where frames take long, they must not come between two.
  clearTimeout(slow);
  slow = setTimeout(texts, Math.max(60, 1.5 * pace));
}

function render() {
  const begun = performance.now();
  stage.draw(true);
  if (second) second.draw(false);
  overview();
  // For the figures of `tests/view/figures.rs`: when the first picture stood, and what the last one took.
  const drawn = performance.now();
  $("bench").dataset.first ??= drawn;
  $("bench").dataset.last = drawn - begun;
}

function texts() {
  servers(failing);
  detail(failing);
  logs(failing);
  $("cone").setAttribute("aria-pressed", view.cone);
  link();
  $("bench").dataset.complete = "1";
}

function overview() {
  const canvas = $("overview"), box = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1, c = canvas.getContext("2d");
  const [w, h] = [Math.round(box.width * ratio), Math.round(box.height * ratio)], x = (t) => (t / failing.end) * box.width;
  // All but the window stays as it is while that moves.
  const like = `${w} ${h} ${colour("--follower")}`;
  if (overview.like !== like) {
    overview.like = like;
    [canvas.width, canvas.height] = [w, h];
    overview.ground = document.createElement("canvas");
    [overview.ground.width, overview.ground.height] = [w, h];
    ground(overview.ground.getContext("2d"), box, ratio, x);
  }
  c.setTransform(1, 0, 0, 1, 0, 0);
  c.clearRect(0, 0, w, h);
  c.drawImage(overview.ground, 0, 0);
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.strokeStyle = colour("--select");
  c.strokeRect(x(view.from), 1, Math.max(3, x(view.to) - x(view.from)), box.height - 2);
}

// The whole run below the window: how much happens when, crashes, the violation.
function ground(c, box, ratio, x) {
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (!overview.bins) {
    overview.bins = new Uint32Array(400);
    for (const e of failing.events) overview.bins[Math.min(399, Math.floor((e.t / failing.end) * 400))]++;
  }
  const most = overview.bins.reduce((a, b) => Math.max(a, b), 1);
  c.fillStyle = colour("--follower");
  overview.bins.forEach((count, i) => c.fillRect((i / 400) * box.width, box.height, box.width / 400 - 0.5, -(count / most) * (box.height - 4)));
  c.fillStyle = colour("--down");
  for (const span of failing.spans) if (span.group === "crash") c.fillRect(x(span.from), 0, Math.max(1, x(span.to) - x(span.from)), 4);
  if (failing.verdict && !failing.verdict.f.ok) { c.fillStyle = colour("--bad"); c.fillRect(x(failing.verdict.t) - 1, 0, 3, box.height); }
}

function link() {
  const parts = [`t=${Math.round(view.from)}-${Math.round(view.to)}`];
  if (view.cursor >= 0) parts.push(`e=${view.cursor}`);
  for (const name of ["search", "kind", "node"]) if (view[name]) parts.push(`${name}=${encodeURIComponent(view[name])}`);
  if (view.cone) parts.push("cone=1");
  if (!view.beside) parts.push("alone=1");
  history.replaceState(null, "", "#" + parts.join("&"));
}

function readLink() {
  const parts = new Map(location.hash.slice(1).split("&").map((part) => part.split("=")));
  const [from, to] = (parts.get("t") ?? "").split("-").map(Number);
  for (const name of ["search", "kind", "node"]) if (parts.has(name)) $(name).value = view[name] = decodeURIComponent(parts.get(name));
  view.cone = parts.has("cone");
  view.beside = !parts.has("alone");
  if (!(to > from)) return false;
  move(from, to);
  if (parts.has("e")) choose(Math.min(Number(parts.get("e")) || 0, failing.events.length - 1), false);
  return true;
}

const KEYS = {
  ArrowRight: ["→", "next event", (e) => (e.shiftKey ? pan(0.25) : step(1))],
  ArrowLeft: ["←", "event before (with shift: move the window)", (e) => (e.shiftKey ? pan(-0.25) : step(-1))],
  "+": ["+", "nearer", () => zoom(0.5)],
  "-": ["−", "further away", () => zoom(2)],
  0: ["0", "the whole run", () => { move(0, failing.end); changed(); }],
  v: ["v", "the first violation", toViolation],
  m: ["m", "follow the message: the next leg of its way", nextLeg],
  c: ["c", "show only what caused the chosen event", cone],
  b: ["b", "the passing run beside it, or not", beside],
  d: ["d", "light or dark", theme],
  "/": ["/", "search", () => $("search").focus()],
  "?": ["?", "these keys", () => $("keys").showModal()],
};

function pan(part) { const by = (view.to - view.from) * part; move(view.from + by, view.to + by); changed(); }

function nextLeg() {
  const call = failing.callOf.get(view.cursor);
  if (!call) return step(1);
  const legs = [call.sent, ...call.arrived, ...call.replied, call.ended].filter(Boolean).map((e) => e.i).sort((a, b) => a - b);
  choose(legs.find((i) => i > view.cursor) ?? legs[0], true);
}

function cone() { view.cone = !view.cone; choose(view.cursor, false); }

function beside() {
  view.beside = !view.beside;
  $("second").hidden = $("other").hidden = !second || !view.beside;
  changed();
}

function theme() {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  colour.cache = undefined;
  changed();
}

function controls() {
  addEventListener("keydown", (e) => {
    if (/INPUT|SELECT/.test(e.target.tagName) || e.ctrlKey || e.metaKey || e.altKey) { if (e.key === "Escape") e.target.blur(); return; }
    const key = KEYS[e.key] ?? (e.key === "=" ? KEYS["+"] : undefined);
    if (!key) return;
    e.preventDefault();
    key[2](e);
  });
  for (const [key, [name, what]] of Object.entries(KEYS)) { const row = element("p"); row.append(element("kbd", name), ` ${what}`); $("keys").append(row); }
  $("keys").append(element("p", "Wheel: nearer and further. Drag: move. Click: choose an event or an arrow."));
  const buttons = { "zoom-in": "+", "zoom-out": "-", all: "0", violation: "v", back: "ArrowLeft", on: "ArrowRight", cone: "c", beside: "b", theme: "d", help: "?" };
  for (const [id, key] of Object.entries(buttons)) $(id).addEventListener("click", (e) => KEYS[key][2](e));
  for (const name of ["search", "kind", "node"]) $(name).addEventListener("input", () => { view[name] = $(name).value; changed(); });
  for (const canvas of [$("first"), $("second")]) mouse(canvas);
  $("overview").addEventListener("pointerdown", (e) => { const t = (e.offsetX / $("overview").clientWidth) * failing.end, span = view.to - view.from; move(t - span / 2, t + span / 2); changed(); });
  addEventListener("resize", changed);
}

function mouse(canvas) {
  let down = null, moved = false;
  const width = () => canvas.clientWidth - LABEL();
  canvas.addEventListener("pointerdown", (e) => { down = { x: e.offsetX, from: view.from, to: view.to }; moved = false; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener("pointermove", (e) => {
    if (!down) return;
    if (Math.abs(e.offsetX - down.x) > 3) moved = true;
    const by = ((down.x - e.offsetX) / width()) * (down.to - down.from);
    if (moved) { move(down.from + by, down.to + by); changed(); }
  });
  canvas.addEventListener("pointerup", (e) => {
    if (down && !moved && canvas.id === "first") { const hit = stage.hit(e.offsetX, e.offsetY); if (hit) choose(hit.i, false); }
    down = null;
  });
  canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom(e.deltaY > 0 ? 1.25 : 0.8, stage.time(e.offsetX)); }, { passive: false });
}

function options(m) {
  const kinds = new Map();
  for (const e of m.events) for (const name of e.kind === "message" ? [e.kind, e.target.split(".").pop()] : [e.kind]) kinds.set(name, (kinds.get(name) ?? 0) + 1);
  for (const [kind, count] of [...kinds].sort()) $("kind").append(element("option", `${kind} (${count})`, { value: kind }));
  for (const lane of m.lanes) if (lane.kind !== "client") $("node").append(element("option", lane.name, { value: lane.name }));
}

async function open() {
  try {
    failing = model(await unpack($("data").textContent.trim()));
    const other = $("passing").textContent.trim();
    if (other) passing = model(await unpack(other));
  } catch (error) {
    $("sentence").textContent = `The trace could not be read: ${error}`;
    $("bench").dataset.complete = "failed";
    return;
  }
  stage = new Stage($("first"), failing);
  if (passing) {
    second = new Stage($("second"), passing);
    const at = divergence(failing, passing);
    view.split = failing.events[Math.min(at, failing.events.length - 1)]?.t ?? 0;
    $("other").textContent = `Below: the nearest run that passes. It is the same up to ${seconds(view.split)} s, where ${$("passing").dataset.words}.`;
  }
  heading(failing);
  strip(failing);
  options(failing);
  controls();
  move(0, failing.end);
  if (!readLink()) toViolation();
  $("second").hidden = $("other").hidden = !second || !view.beside;
  $("beside").hidden = !second;
  changed();
}

open();
