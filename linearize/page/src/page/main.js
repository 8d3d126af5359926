// Where it begins.

function colorNames() {
  const used = new Set();
  for (const name of D.names) {
    let color = [0, 1, 2][name.effect];
    for (const other of [color, 3, 5, 4]) {
      if (!used.has(other)) {
        color = other;
        break;
      }
    }
    used.add(color);
    name.color = color;
  }
}

// Keys with errors first, above all the one that the banner names, then undecided ones, then by name, with the numbers in it as numbers.
function sortKeys() {
  const weight = { [BAD]: 0, [UNKNOWN]: 1, [GOOD]: 2 };
  const names = new Intl.Collator("en", { numeric: true });
  D.sorted = [...D.keys].sort((a, b) =>
    weight[a.status] - weight[b.status] || (b === D.worst) - (a === D.worst) || names.compare(a.name, b.name));
}

// Opens at the error; without one, where the search ended; otherwise at the first few hundred operations.
const MANY_LANES = 40;

function open() {
  V.errors = D.sorted.filter((key) => key.status === BAD);
  if (!V.errors.length) V.errors = D.sorted.filter((key) => key.status === UNKNOWN);
  // Among very many lanes those that matter are hard to find.
  V.overlap = V.errors.length > 0 && V.errors[0].status === BAD && V.errors[0].clients.length > MANY_LANES;
  fillTools();
  if (V.errors.length) {
    goToError(0);
  } else {
    // opening.rs expects this one.
    if (D.keys.length > 20) V.key = 0;
    layOut();
    syncFilters();
    show(start() - (D.some - D.first) * 0.03, D.n > 300 ? D.some : finish() + (finish() - start()) * 0.03);
    describe();
  }
}

// What must be read before what is in view can be drawn.
function missing() {
  const blocks = new Set();
  eachRow((row) => {
    for (const segment of row.client === undefined ? row.key.segments : []) {
      if (segment.from <= V.right && segment.to >= V.left && !D.blocks[segment.block].known) blocks.add(segment.block);
    }
  });
  return blocks;
}

const parsed = () => new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done, { once: true });
  else done();
});

// The rest, a little between any two frames.
async function readRest(blocks) {
  let last = performance.now();
  for (let number = 1; number < D.blocks.length; number++) {
    if (D.blocks[number].known) continue;
    readBlock(D, number, await unpack(blocks[number]));
    blocks[number] = null;
    if (performance.now() - last < 8) continue;
    if (drawn) changed();
    await new Promise((done) => setTimeout(done));
    last = performance.now();
  }
  groupByKey(D);
  forgetLanes();
  D.complete = true;
}

let drawn = false;

async function main() {
  const root = document.documentElement;
  root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  canvas = $("lanes");
  overview = $("overview");
  context = canvas.getContext("2d", { alpha: false });
  overviewContext = overview.getContext("2d", { alpha: false });
  const blocks = [];
  takeBlocks("data", blocks);
  // Together, so that they do not wait for one another, nor each for its turn behind the rest of the page.
  const unpacked = await Promise.all(blocks.map(unpack));
  D = readHead(unpacked[0][0]);
  unpacked.forEach((block, number) => number && block && readBlock(D, number, block));
  colorNames();
  sortKeys();
  readPalette();
  resize();
  open();
  const linked = location.hash.length > 1;
  if (linked || missing().size || D.blocks.every((block) => block.known)) await readAll(blocks);
  followLink();
  drawn = true;
  changed();
  paintNow();
  $("bench").dataset.ready = performance.now().toFixed(1);
  // A canvas is blank once its size is set, so it is drawn at once.
  new ResizeObserver(() => {
    resize();
    paintNow();
  }).observe(canvas);
  listenToPointer();
  listenToKeys();
  document.addEventListener("click", (event) => {
    const anchor = event.target.closest?.("a[data-op]");
    if (!anchor) return;
    event.preventDefault();
    select(Number(anchor.dataset.op), true);
  });
  addEventListener("hashchange", followLink);
  addEventListener("error", (event) => complain(event.message));
  if (!D.complete) await readAll(blocks);
  $("bench").dataset.complete = performance.now().toFixed(1);
  if (new URLSearchParams(location.search).has("bench")) bench();
}

async function readAll(blocks) {
  if (!D.blocks.every((block) => block.known)) {
    await parsed();
    takeBlocks("rest", blocks);
  }
  await readRest(blocks);
  layOut();
  describe();
  for (const action of waiting.splice(0)) action();
}

function complain(message) {
  $("detail").replaceChildren(el("h2", {}, "This page could not be drawn"), el("p", {}, visible(String(message))));
}

// Pans and zooms for a while and notes how long each frame took. Asked for by ?bench.
async function bench() {
  const next = () => new Promise((done) => requestAnimationFrame(done));
  const measure = async (move) => {
    const frames = [], work = [];
    let last = await next();
    for (let i = 0; i < 180; i++) {
      const before = performance.now();
      move(i);
      paintNow();
      work.push(performance.now() - before);
      const now = await next();
      frames.push(now - last);
      last = now;
    }
    const sorted = (list) => list.sort((a, b) => a - b);
    sorted(frames);
    sorted(work);
    const mean = frames.reduce((sum, time) => sum + time, 0) / frames.length;
    return { fps: 1000 / mean, p95: frames[Math.floor(frames.length * 0.95)], work: work[work.length >> 1], work95: work[Math.floor(work.length * 0.95)] };
  };
  const result = {};
  const width = V.right - V.left;
  result.near = await measure(() => show(V.left + width * 0.01, V.right + width * 0.01));
  Object.assign(V, { key: null });
  layOut();
  show(start(), start() + (finish() - start()) / 20);
  result.pan = await measure(() => pan(0.01));
  show(start(), finish());
  result.all = await measure((i) => zoom(i % 2 ? 0.98 : 1 / 0.98));
  result.nodes = document.getElementsByTagName("*").length;
  $("bench").textContent = JSON.stringify(result);
}

main().catch((error) => complain(error && error.message));
