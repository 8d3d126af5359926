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

function paintStill(surface, width, height) {
  surface.rect(0, 0, width, height, palette.ground);
  const bins = new Float64Array(Math.ceil(width / 2) + 1);
  for (const row of V.rows) {
    for (const op of row.ops || []) bins[Math.floor(overviewX(V.unit.call[op], width) / 2)]++;
  }
  const most = bins.reduce((most, count) => Math.max(most, count), 1);
  const floor = height - 8;
  bins.forEach((count, bin) => {
    const size = (count / most) * (floor - 12);
    if (count) surface.rect(bin * 2, floor - Math.max(1, size), 2, Math.max(1, size), palette.faint, 0.55);
  });
  for (const group of D.groups) {
    if (group.hidden) continue;
    for (const fault of group.faults) {
      const x = overviewX(toUnit(fault.from), width);
      surface.rect(x, floor + 2, Math.max(2, overviewX(faultEnd(fault), width) - x), 5, groupColor(group));
    }
  }
  for (const key of D.keys) {
    if (key.status === UNKNOWN && key.reached !== null) {
      const x = overviewX(toUnit(Math.min(D.end[key.reached], D.last)), width);
      hatch(surface, x, 0, width - x, 10);
    }
    if (key.status !== BAD) continue;
    for (const op of key.witness) {
      const x = overviewX(toUnit(D.call[op]), width);
      surface.rect(x, 0, 1, floor, palette.bad);
      surface.shape([[x - 4, 0], [x + 5, 0], [x + 0.5, 8]], palette.bad);
    }
  }
}
