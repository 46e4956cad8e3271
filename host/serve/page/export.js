// Files of what was cut out.
import { measure, outlines, simpler } from "./mask.js";
import { zip } from "./zip.js";

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const json = (value) => new Blob([JSON.stringify(value, null, 1)], { type: "application/json" });

const polygons = (object, width, height) =>
  outlines(object.mask, width, height).map((ring) => simpler(ring, 1)).filter((ring) => ring.length > 2);

// A drawing of every pixel, [r, g, b, a] of (i): PNG.
async function png(width, height, pixel) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set(pixel(i), 4 * i);
  context.putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

function cutout(object, image) {
  const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  return png(image.width, image.height,
    (i) => [data[4 * i], data[4 * i + 1], data[4 * i + 2], object.mask[i] ? 255 : 0]);
}

export function coco(objects, image, name) {
  const names = [...new Set(objects.map((o) => o.name))];
  return {
    images: [{ id: 1, file_name: name, width: image.width, height: image.height }],
    categories: names.map((n, i) => ({ id: i + 1, name: n })),
    annotations: objects.map((o, i) => ({ id: i + 1, image_id: 1, category_id: names.indexOf(o.name) + 1,
      segmentation: o.segmentation, ...measure(o.mask, image.width, image.height), iscrowd: 0,
      predicted_iou: o.predicted_iou, stability_score: o.stability_score, score: o.score })),
  };
}

export async function exportAs(kind, objects, image, name) {
  const stem = name.replace(/\.[^.]*$/, "");
  if (kind === "coco") save(json(coco(objects, image, name)), `${stem}.coco.json`);
  if (kind === "rle") save(json(objects.map(({ name: label, segmentation, area, bbox, predicted_iou, stability_score }) =>
    ({ label, segmentation, area, bbox, predicted_iou, stability_score }))), `${stem}.rle.json`);
  if (kind === "polygon") save(json(objects.map((o) => ({ label: o.name, bbox: o.bbox,
    polygons: polygons(o, image.width, image.height) }))), `${stem}.polygons.json`);
  if (kind === "png" || kind === "cutout") {
    const ending = kind === "png" ? "mask" : "cutout", files = [];
    for (const [i, o] of objects.entries())
      files.push({ name: `${stem}.${i + 1}.${o.name.replace(/[^\p{L}\p{N}._-]/gu, "_")}.${ending}.png`,
        blob: kind === "png" ? await png(image.width, image.height, (p) => Array(3).fill(o.mask[p] ? 255 : 0).concat(255))
          : await cutout(o, image) });
    if (files.length === 1) save(files[0].blob, files[0].name);
    else save(await zip(files), `${stem}.${ending}s.zip`);
  }
}
