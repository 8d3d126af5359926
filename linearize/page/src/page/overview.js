// The whole history in one strip: how much went on, where errors and faults are, and what is in view.

let overview, overviewContext, overviewStale = true;
const overviewStill = document.createElement("canvas");

function paintOverviewLater() {
  overviewStale = true;
}

function overviewBox() {
  return { width: overview.clientWidth, height: overview.clientHeight };
}

function paintOverview() {
  const { width, height } = overviewBox();
  const ratio = window.devicePixelRatio || 1;
  if (overviewStale) {
    overviewStale = false;
    for (const each of [overview, overviewStill]) {
      each.width = Math.round(width * ratio);
      each.height = Math.round(height * ratio);
    }
    const still = overviewStill.getContext("2d");
    still.setTransform(ratio, 0, 0, ratio, 0, 0);
    paintStill(new CanvasSurface(still), width, height);
  }
  overviewContext.setTransform(1, 0, 0, 1, 0, 0);
  overviewContext.drawImage(overviewStill, 0, 0);
  overviewContext.setTransform(ratio, 0, 0, ratio, 0, 0);
  const surface = new CanvasSurface(overviewContext);
  const x = overviewX(V.left, width), right = overviewX(V.right, width);
  surface.rect(0, 0, x, height, palette.paper, 0.55);
  surface.rect(right, 0, width - right, height, palette.paper, 0.55);
  surface.outline(x, 1, Math.max(3, right - x), height - 2, palette.select, 2);
}

const overviewX = (unit, width) => ((unit - start()) / (finish() - start())) * width;

const BINS = 512;

// How many calls there are in each part of the axis, among what is shown. The page tells it of keys that are not read yet.
function density() {
  const bins = new Float64Array(BINS), all = finish() - start(), first = start();
  const told = V.axis === "time" && !filtered();
  for (const row of V.rows) {
    if (row.client === undefined) {
      if (told) row.key.bins.forEach((count, bin) => (bins[bin] += count));
    } else if (!told || !row.key.bins.length) {
      for (const op of row.ops) bins[Math.min(BINS - 1, Math.floor(((V.unit.call[op] - first) / all) * BINS))]++;
    }
  }
  return bins;
}

function paintStill(surface, width, height) {
  surface.rect(0, 0, width, height, palette.ground);
  const bins = density(), most = bins.reduce((most, count) => Math.max(most, count), 1);
  const floor = height - 8, wide = width / BINS;
  bins.forEach((count, bin) => {
    const size = Math.max(1, (count / most) * (floor - 12));
    if (count) surface.rect(bin * wide, floor - size, wide, size, palette.faint, 0.55);
  });
  for (const group of D.groups) {
    if (group.hidden) continue;
    for (const fault of group.faults) {
      const x = overviewX(toUnit(fault.from), width);
      surface.rect(x, floor + 2, Math.max(2, overviewX(faultEnd(fault), width) - x), 5, groupColor(group));
    }
  }
  for (const key of D.keys) {
    if (key.status === UNKNOWN && key.reached !== null && D.known[key.reached]) {
      const x = overviewX(toUnit(Math.min(D.end[key.reached], D.last)), width);
      hatch(surface, x, 0, width - x, 10);
    }
    if (key.status !== BAD) continue;
    for (const op of key.witness) {
      if (!D.known[op]) continue;
      const x = Math.round(overviewX(toUnit(D.call[op]), width));
      surface.rect(x, 0, 1, floor, palette.bad);
      surface.shape([[x - 4, 0], [x + 5, 0], [x + 0.5, 8]], palette.bad);
    }
  }
}
