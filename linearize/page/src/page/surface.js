// Two surfaces with the same few verbs: a canvas to look at and SVG to keep. Everything is drawn through them.

const FONT = '"DejaVu Sans Mono", Menlo, Consolas, monospace';

class CanvasSurface {
  constructor(context) {
    this.context = context;
    this.color = null;
    this.size = 0;
  }

  fill(color) {
    if (color !== this.color) this.context.fillStyle = this.color = color;
  }

  rect(x, y, width, height, color, opacity = 1) {
    this.fill(color);
    if (opacity !== 1) this.context.globalAlpha = opacity;
    this.context.fillRect(x, y, width, height);
    if (opacity !== 1) this.context.globalAlpha = 1;
  }

  outline(x, y, width, height, color, thickness = 1, dash = null) {
    const context = this.context;
    context.strokeStyle = color;
    context.lineWidth = thickness;
    if (dash) context.setLineDash(dash);
    context.strokeRect(x, y, width, height);
    if (dash) context.setLineDash([]);
  }

  line(points, color, thickness = 1, dash = null) {
    const context = this.context;
    context.strokeStyle = color;
    context.lineWidth = thickness;
    if (dash) context.setLineDash(dash);
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
    if (dash) context.setLineDash([]);
  }

  shape(points, color) {
    const context = this.context;
    this.fill(color);
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.fill();
  }

  circle(x, y, radius, color) {
    this.fill(color);
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 7);
    this.context.fill();
  }

  text(x, y, text, color, { size = 11, align = "left", bold = false } = {}) {
    const context = this.context;
    const font = bold ? -size : size;
    if (font !== this.size) {
      context.font = `${bold ? "bold " : ""}${size}px ${FONT}`;
      this.size = font;
    }
    if (context.textAlign !== align) context.textAlign = align;
    this.fill(color);
    context.fillText(text, x, y);
  }

  clip(x, y, width, height, draw) {
    this.context.save();
    this.context.beginPath();
    this.context.rect(x, y, width, height);
    this.context.clip();
    draw();
    this.context.restore();
    this.color = null;
    this.size = 0;
  }
}

const XML = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const xml = (text) => String(text).replace(/[&<>"']/g, (character) => XML[character]);

class SvgSurface {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.parts = [];
    this.clips = 0;
  }

  // Attributes are escaped all alike, whether they are numbers, our colours, or anything else.
  add(tag, attributes, text) {
    const list = Object.entries(attributes).filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => ` ${name}="${xml(typeof value === "number" ? +value.toFixed(2) : value)}"`).join("");
    this.parts.push(text === undefined ? `<${tag}${list}/>` : `<${tag}${list}>${xml(text)}</${tag}>`);
  }

  rect(x, y, width, height, color, opacity = 1) {
    this.add("rect", { x, y, width, height, fill: color, "fill-opacity": opacity === 1 ? null : opacity });
  }

  outline(x, y, width, height, color, thickness = 1, dash = null) {
    this.add("rect", { x, y, width, height, fill: "none", stroke: color, "stroke-width": thickness, "stroke-dasharray": dash && dash.join(" ") });
  }

  line(points, color, thickness = 1, dash = null) {
    this.add("polyline", {
      points: points.map((point) => point.map((at) => +at.toFixed(2)).join(",")).join(" "),
      fill: "none", stroke: color, "stroke-width": thickness, "stroke-dasharray": dash && dash.join(" "),
    });
  }

  shape(points, color) {
    this.add("polygon", { points: points.map((point) => point.join(",")).join(" "), fill: color });
  }

  circle(x, y, radius, color) {
    this.add("circle", { cx: x, cy: y, r: radius, fill: color });
  }

  text(x, y, text, color, { size = 11, align = "left", bold = false } = {}) {
    const anchor = { left: null, center: "middle", right: "end" }[align];
    this.add("text", { x, y, fill: color, "font-size": size, "font-weight": bold ? "bold" : null, "text-anchor": anchor }, text);
  }

  clip(x, y, width, height, draw) {
    const id = `c${++this.clips}`;
    this.parts.push(`<clipPath id="${id}">`);
    this.add("rect", { x, y, width, height });
    this.parts.push(`</clipPath><g clip-path="url(#${id})">`);
    draw();
    this.parts.push("</g>");
  }

  toString() {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" ` +
      `viewBox="0 0 ${this.width} ${this.height}" font-family="${xml(FONT)}">${this.parts.join("")}</svg>`;
  }
}
