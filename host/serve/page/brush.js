// A mask that is painted: strokes, lists of [x, y], and what the decoder takes of them.

export function stroke(context, path, { width, height }) {
  context.lineWidth = Math.max(width, height) / 40;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = "#0b5fd0";
  context.beginPath();
  for (const [x, y] of path) context.lineTo(x + 0.5, y + 0.5);
  context.stroke();
}

export function canvasOf(strokes, size) {
  const canvas = new OffscreenCanvas(size.width, size.height);
  for (const path of strokes) stroke(canvas.getContext("2d"), path, size);
  return canvas;
}

// The logits that the decoder takes, of side x side: base 64 of int8 in quarters, +- 5 as where a mask is sure.
// `area`: width and height of the part that is the image.
export function logitsOf(canvas, side, [u, v]) {
  const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0, u, v);
  const { data } = context.getImageData(0, 0, side, side);
  let text = "";
  for (let i = 0; i < side * side; i++) text += String.fromCharCode(data[4 * i + 3] > 127 ? 20 : 256 - 20);
  return btoa(text);
}
