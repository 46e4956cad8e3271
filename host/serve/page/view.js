// The canvas: the image with what lies over it, zoomed and moved; pointer positions in pixels of the image.
import { picture } from "./mask.js";

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.image = null;
    this.layers = []; // {canvas, x, y}: in pixels of the image
    this.preview = null; // {canvas, u, v}: logits' picture, and the part of it that is the image
    this.marks = { points: [], labels: [], box: null, brush: null, found: [] };
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  show(image) {
    this.image = image;
    if (image) this.fit();
    else this.draw();
  }

  resize() {
    const { clientWidth: w, clientHeight: h } = this.canvas, ratio = devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(w * ratio));
    this.canvas.height = Math.max(1, Math.round(h * ratio));
    if (this.image) this.fit();
  }

  fit() {
    const { width, height } = this.canvas;
    this.scale = Math.min(width / this.image.width, height / this.image.height) * 0.97;
    this.x = (width - this.scale * this.image.width) / 2;
    this.y = (height - this.scale * this.image.height) / 2;
    this.draw();
  }

  // Around a point of the canvas.
  zoom(factor, cx, cy) {
    const scale = Math.min(40, Math.max(0.02, this.scale * factor)), f = scale / this.scale;
    this.x = cx - (cx - this.x) * f;
    this.y = cy - (cy - this.y) * f;
    this.scale = scale;
    this.draw();
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.draw();
  }

  // A pointer's place on the canvas, and in the image: centres of pixels are whole numbers, as in SAM.
  place(event) {
    const box = this.canvas.getBoundingClientRect(), ratio = this.canvas.width / box.width;
    const cx = (event.clientX - box.left) * ratio, cy = (event.clientY - box.top) * ratio;
    const x = (cx - this.x) / this.scale - 0.5, y = (cy - this.y) / this.scale - 0.5;
    const inside = this.image !== null && x >= -0.5 && y >= -0.5 && x < this.image.width - 0.5 && y < this.image.height - 0.5;
    return { cx, cy, x, y, inside };
  }

  // int8 logits -> a soft picture; `area`: width and height of the part that is the image.
  setPreview(result, area, colour) {
    if (!result) {
      this.preview = null;
      return;
    }
    const { logits, side } = result, canvas = new OffscreenCanvas(side, side), context = canvas.getContext("2d");
    const pixels = context.createImageData(side, side);
    for (let i = 0; i < logits.length; i++) {
      pixels.data.set(colour, 4 * i);
      pixels.data[4 * i + 3] = Math.max(0, Math.min(140, 70 + 30 * logits[i]));
    }
    context.putImageData(pixels, 0, 0);
    this.preview = { canvas, u: area[0], v: area[1] };
  }

  static layer(mask, width, height, colour) {
    return picture(mask, width, height, colour, 110);
  }

  draw() {
    const c = this.context, { image, scale } = this;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!image) return;
    c.setTransform(scale, 0, 0, scale, this.x, this.y);
    c.imageSmoothingEnabled = scale < 3;
    c.drawImage(image, 0, 0);
    c.imageSmoothingEnabled = true;
    for (const layer of this.layers) c.drawImage(layer.canvas, layer.x, layer.y);
    if (this.preview) {
      const { canvas, u, v } = this.preview;
      c.drawImage(canvas, 0, 0, u, v, 0, 0, image.width, image.height);
    }
    if (this.marks.brush) {
      c.globalAlpha = 0.5;
      c.drawImage(this.marks.brush, 0, 0, image.width, image.height);
      c.globalAlpha = 1;
    }
    const line = (this.canvas.width / this.canvas.clientWidth) / scale;
    if (this.marks.box) {
      const [x0, y0, x1, y1] = this.marks.box;
      c.lineWidth = 2 * line;
      c.strokeStyle = "#fff";
      c.strokeRect(x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0);
      c.setLineDash([5 * line, 5 * line]);
      c.strokeStyle = "#0b5fd0";
      c.strokeRect(x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0);
      c.setLineDash([]);
    }
    for (const { box: [x0, y0, x1, y1], text, colour } of this.marks.found || []) {
      c.lineWidth = 2 * line;
      c.strokeStyle = c.fillStyle = `rgb(${colour.join(",")})`;
      c.strokeRect(x0, y0, x1 - x0, y1 - y0);
      c.font = `${13 * line}px system-ui, sans-serif`;
      const width = c.measureText(text).width + 8 * line, high = 18 * line, top = Math.max(0, y0 - high);
      c.fillRect(x0 - line, top, width, high);
      c.fillStyle = colour[0] * 0.3 + colour[1] * 0.6 + colour[2] * 0.1 > 140 ? "#000" : "#fff";
      c.fillText(text, x0 + 3 * line, top + 13.5 * line);
    }
    this.marks.points.forEach(([x, y], i) => {
      c.beginPath();
      c.arc(x + 0.5, y + 0.5, 6 * line, 0, 7);
      c.fillStyle = this.marks.labels[i] ? "#1a9d3f" : "#d0312d";
      c.fill();
      c.lineWidth = 2 * line;
      c.strokeStyle = "#fff";
      c.stroke();
    });
  }
}
