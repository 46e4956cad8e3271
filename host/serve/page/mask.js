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
  const runs = typeof segmentation.counts === "string" ? counts(segmentation.counts) : segmentation.counts;
  let at = 0, value = 0;
  for (const run of runs) {
    if (value) {
      let y = at % height, place = y * width + Math.floor(at / height);
      for (let i = 0; i < run; i++) {
        out[place] = 1;
        if (++y < height) place += width;
        else y = 0, place -= (height - 1) * width - 1; // the top of the next column
      }
    }
    at += run;
    value ^= 1;
  }
  return out;
}

// One byte a pixel -> pycocotools' string.
export function string(mask, width, height) {
  const list = [];
  let value = 0, run = 0, text = "";
  for (let x = 0; x < width; x++)
    for (let y = 0, i = x; y < height; y++, i += width) {
      if (mask[i] !== value) list.push(run), run = 0, value = mask[i];
      run++;
    }
  list.push(run);
  list.forEach((count, i) => {
    let rest = i > 2 ? count - list[i - 2] : count;
    for (let more = true; more;) {
      let digit = rest & 31;
      rest >>= 5;
      more = digit & 16 ? rest !== -1 : rest !== 0;
      if (more) digit |= 32;
      text += String.fromCharCode(digit + 48);
    }
  });
  return text;
}

// Area and box as pycocotools has them: [x, y, width, height], a mask of one pixel is 1 wide.
export function measure(mask, width, height) {
  let area = 0, x0 = width, y0 = height, x1 = -1, y1 = -1;
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      area++;
      if (x < x0) x0 = x;
      if (x > x1) x1 = x;
      if (y < y0) y0 = y;
      y1 = y;
    }
  return { area, bbox: area > 0 ? [x0, y0, x1 - x0 + 1, y1 - y0 + 1] : [0, 0, 0, 0] };
}

// Whatever COCO has as a segmentation, or only a box, as one byte a pixel; null where it is of another size.
export function drawn({ segmentation, bbox }, width, height) {
  if (segmentation?.size) {
    if (segmentation.size[0] !== height || segmentation.size[1] !== width) return null;
    return bytes(segmentation);
  }
  const rings = Array.isArray(segmentation) && segmentation.length > 0 ? segmentation
    : bbox ? [[bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3], bbox[0], bbox[1] + bbox[3]]]
      : [];
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d"), out = new Uint8Array(width * height);
  for (const ring of rings) {
    context.beginPath();
    for (let i = 0; i + 1 < ring.length; i += 2) context.lineTo(ring[i], ring[i + 1]);
    context.fill();
  }
  const { data } = context.getImageData(0, 0, width, height);
  for (let i = 0; i < out.length; i++) out[i] = data[4 * i + 3] > 127 ? 1 : 0;
  return out;
}

// A picture of the mask in one colour, [r, g, b], with its outline stronger: {canvas, x, y}, as large as the mask.
export function picture(mask, width, height, colour, alpha) {
  const [x0, y0, w, h] = measure(mask, width, height).bbox;
  const canvas = new OffscreenCanvas(Math.max(1, w), Math.max(1, h)), context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height), data = new Uint32Array(image.data.buffer);
  const paint = (a) => (a << 24 | colour[2] << 16 | colour[1] << 8 | colour[0]) >>> 0;
  const inside = paint(alpha), edge = paint(255);
  for (let y = y0, o = 0; y < y0 + h; y++)
    for (let x = x0, i = y * width + x0; x < x0 + w; x++, i++, o++) {
      if (!mask[i]) continue;
      const border = x === 0 || y === 0 || x === width - 1 || y === height - 1 || !mask[i - 1] || !mask[i + 1] ||
        !mask[i - width] || !mask[i + width];
      data[o] = border ? edge : inside;
    }
  context.putImageData(image, 0, 0);
  return { canvas, x: x0, y: y0 };
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

// Douglas and Peucker, of a closed line: nothing moves by more than `most` pixels. Cut where a corner is furthest, ragged
// outlines fall apart one corner at a time, which is quadratic; those are cut in the middle from some depth on.
const DEEP = 32;
export function simpler(ring, most) {
  if (ring.length < 5) return ring;
  const keep = new Uint8Array(ring.length);
  let far = 0, best = -1;
  ring.forEach(([x, y], i) => {
    const d = (x - ring[0][0]) ** 2 + (y - ring[0][1]) ** 2;
    if (d > best) best = d, far = i;
  });
  const closed = [...ring, ring[0]], stack = [[0, far, 0], [far, ring.length, 0]];
  keep[0] = keep[far] = 1;
  while (stack.length > 0) {
    const [a, b, depth] = stack.pop(), [ax, ay] = closed[a], [bx, by] = closed[b], length = Math.hypot(bx - ax, by - ay) || 1;
    let worst = most, index = -1;
    for (let i = a + 1; i < b; i++) {
      const [x, y] = closed[i], d = Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length;
      if (d > worst) worst = d, index = i;
    }
    if (index < 0) continue;
    if (depth >= DEEP) index = (a + b) >> 1;
    keep[index] = 1;
    stack.push([a, index, depth + 1], [index, b, depth + 1]);
  }
  return ring.filter((_, i) => keep[i]);
}
