// Keeping the window as a picture: everything is drawn once more, on another surface.

function windowAsSvg() {
  const surface = new SvgSurface(Math.round(stage.width), Math.round(stage.height));
  paint(surface);
  return surface.toString();
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const anchor = el("a", { href: url, download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const fileName = (kind) => `history-${Math.round(toTime(V.left))}-${Math.round(toTime(V.right))}.${kind}`;

function saveSvg() {
  save(new Blob([windowAsSvg()], { type: "image/svg+xml" }), fileName("svg"));
}

// Twice as fine as the screen, so that it can be printed.
function savePng() {
  const copy = document.createElement("canvas");
  copy.width = stage.width * 2;
  copy.height = stage.height * 2;
  const copyContext = copy.getContext("2d");
  copyContext.scale(2, 2);
  paint(new CanvasSurface(copyContext));
  copy.toBlob((blob) => save(blob, fileName("png")), "image/png");
}
