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

// Keys with errors first, then undecided ones, then by name, with the numbers in it as numbers.
function sortKeys() {
  const weight = { [BAD]: 0, [UNKNOWN]: 1, [GOOD]: 2 };
  const names = new Intl.Collator("en", { numeric: true });
  D.sorted = [...D.keys].sort((a, b) => weight[a.status] - weight[b.status] || names.compare(a.name, b.name));
}

// Opens at the error; without one, where the search ended; otherwise at the first few hundred operations.
function open() {
  V.errors = D.sorted.filter((key) => key.status === BAD);
  if (!V.errors.length) V.errors = D.sorted.filter((key) => key.status === UNKNOWN);
  fillTools();
  if (V.errors.length) {
    goToError(0);
  } else {
    if (D.keys.length > 20) V.key = D.sorted[0].index;
    layOut();
    syncFilters();
    const some = D.call[Math.min(D.n - 1, 200)];
    show(start() - (some - D.first) * 0.03, D.n > 300 ? some : finish() + (finish() - start()) * 0.03);
    describe();
  }
  followLink();
}

async function main() {
  const root = document.documentElement;
  root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  canvas = $("lanes");
  overview = $("overview");
  context = canvas.getContext("2d", { alpha: false });
  overviewContext = overview.getContext("2d", { alpha: false });
  D = decode(await unpack($("data").textContent));
  $("data").remove();
  colorNames();
  sortKeys();
  readPalette();
  resize();
  open();
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
  if (new URLSearchParams(location.search).has("bench")) bench();
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
