// Masks as COCO has them: run lengths down the columns, background first. Nothing here knows of the page.

// pycocotools' string -> run lengths.
export function counts(text) {
  const list = [];
  for (let i = 0; i < text.length;) {
    let value = 0, shift = 0, byte;
    do {
      byte = text.charCodeAt(i++) - 48;
      value |= (byte & 31) << shift;
      shift += 5;
    } while (byte & 32);
    if (byte & 16) value |= -1 << shift;
    if (list.length > 2) value += list[list.length - 2];
    list.push(value);
  }
  return list;
}

// -> one byte a pixel, row by row.
export function bytes(segmentation) {
  const [height, width] = segmentation.size, out = new Uint8Array(width * height);
  let at = 0, value = 0;
  for (const run of counts(segmentation.counts)) {
    if (value) for (let i = at; i < at + run; i++) out[(i % height) * width + Math.floor(i / height)] = 1;
    at += run;
    value ^= 1;
  }
  return out;
}

// A picture of the mask in one colour, [r, g, b], with its outline stronger.
export function picture(mask, width, height, colour, alpha) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  const image = context.createImageData(width, height), data = new Uint32Array(image.data.buffer);
  const paint = (a) => (a << 24 | colour[2] << 16 | colour[1] << 8 | colour[0]) >>> 0;
  const inside = paint(alpha), edge = paint(255);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      const border = x === 0 || y === 0 || x === width - 1 || y === height - 1 || !mask[i - 1] || !mask[i + 1] ||
        !mask[i - width] || !mask[i + width];
      data[i] = border ? edge : inside;
    }
  context.putImageData(image, 0, 0);
  return canvas;
}

// Outlines along the edges of pixels, each a list of [x, y]: outer ones clockwise, holes the other way round. Pixels
// that touch at a corner alone are apart.
export function outlines(mask, width, height) {
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  const edges = new Map(), key = (x, y) => y * (width + 1) + x; // from a corner to those after it, inside on the right
  const add = (x0, y0, x1, y1) => {
    const from = key(x0, y0);
    if (!edges.has(from)) edges.set(from, []);
    edges.get(from).push([x1, y1]);
  };
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (!at(x, y)) continue;
      if (!at(x, y - 1)) add(x, y, x + 1, y);
      if (!at(x + 1, y)) add(x + 1, y, x + 1, y + 1);
      if (!at(x, y + 1)) add(x + 1, y + 1, x, y + 1);
      if (!at(x - 1, y)) add(x, y + 1, x, y);
    }
  const rings = [];
  for (const [start, nexts] of edges)
    while (nexts.length > 0) {
      const ring = [], x0 = start % (width + 1), y0 = Math.floor(start / (width + 1));
      let x = x0, y = y0, dx = 0, dy = 0;
      do {
        const list = edges.get(key(x, y));
        // Where two go on, the one to the right: it keeps to its own pixel.
        let pick = 0;
        if (list.length > 1) pick = list.findIndex(([a, b]) => a - x === -dy && b - y === dx);
        const [nx, ny] = list.splice(pick < 0 ? 0 : pick, 1)[0];
        if (nx - x !== dx || ny - y !== dy) ring.push([x, y]);
        dx = nx - x, dy = ny - y, x = nx, y = ny;
      } while (x !== x0 || y !== y0);
      rings.push(ring);
    }
  return rings;
}

// Douglas and Peucker, of a closed line: nothing moves by more than `most` pixels.
export function simpler(ring, most) {
  if (ring.length < 5) return ring;
  const keep = new Uint8Array(ring.length);
  let far = 0, best = -1;
  ring.forEach(([x, y], i) => {
    const d = (x - ring[0][0]) ** 2 + (y - ring[0][1]) ** 2;
    if (d > best) best = d, far = i;
  });
  const closed = [...ring, ring[0]], stack = [[0, far], [far, ring.length]];
  keep[0] = keep[far] = 1;
  while (stack.length > 0) {
    const [a, b] = stack.pop(), [ax, ay] = closed[a], [bx, by] = closed[b], length = Math.hypot(bx - ax, by - ay) || 1;
    let worst = most, index = -1;
    for (let i = a + 1; i < b; i++) {
      const [x, y] = closed[i], d = Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length;
      if (d > worst) worst = d, index = i;
    }
    if (index < 0) continue;
    keep[index] = 1;
    stack.push([a, index], [index, b]);
  }
  return ring.filter((_, i) => keep[i]);
}
