// The page: one image, objects that were cut out of it, and the one that is being cut out now.
import * as api from "./api.js";
import { bytes } from "./mask.js";
import { View } from "./view.js";
import { exportAs } from "./export.js";

const $ = (id) => document.getElementById(id);
const COLOURS = [[0, 130, 230], [245, 150, 20], [60, 180, 75], [230, 25, 75], [160, 60, 220], [20, 200, 200],
  [240, 50, 230], [190, 220, 40], [250, 190, 212], [0, 128, 128], [220, 190, 255], [170, 110, 40]];
const css = (c) => `rgb(${c.join(",")})`;
const view = new View($("canvas"));

let model = null;
let image = null; // {id, bitmap, name, bytes}
let tool = "point";
let objects = []; // {name, colour, mask, layer, segmentation, area, bbox, ...}
let current = fresh();
let past = [], future = []; // of {current, objects}
let found = []; // everything mode: the same as objects, not kept yet

// A prompt in the making, and what came of it.
function fresh() {
  return { points: [], labels: [], box: null, brush: null, masks: null, choice: 0 };
}

// ---- Messages ----

let saying;
function say(text, kind = "error") {
  $("message").textContent = text;
  $("message").className = kind;
  clearTimeout(saying);
  saying = setTimeout(() => ($("message").textContent = ""), 6000);
}

function busy(text, value, cancel) {
  $("busy").hidden = !text;
  $("busy-text").textContent = text || "";
  if (value === undefined) $("bar").removeAttribute("value");
  else $("bar").value = value;
  $("cancel").hidden = !cancel;
  $("cancel").onclick = cancel || null;
}

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") say(error.message);
    return undefined;
  } finally {
    busy(null);
  }
}

// ---- The image ----

const LARGEST = 4096; // side of what is sent; larger ones are drawn smaller first

let opening = 0; // the last that was begun is the one that stays
// What is sent and what is shown are the same pixels, upright.
async function open(blob, name) {
  const number = ++opening;
  await attempt(async () => {
    busy("reading the image");
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob);
    } catch {
      throw new api.Failure(`${name}: the browser cannot read this image`);
    }
    const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
    if (scale < 1 || blob.size > model.max_bytes) {
      const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
      canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
      bitmap = await createImageBitmap(blob);
    }
    if (number !== opening) return;
    $("empty").hidden = true;
    view.show(bitmap);
    busy("encoding the image");
    let sent = null;
    try {
      sent = await api.upload(blob);
      if (sent.width !== bitmap.width || sent.height !== bitmap.height)
        throw new api.Failure("the server and the browser see different sizes of this image");
    } catch (error) {
      if (number === opening) { // the image before stays
        view.show(image && image.bitmap);
        $("empty").hidden = image !== null;
      }
      throw error;
    }
    if (number !== opening) return;
    const { id } = sent;
    image = { id, bitmap, name, blob };
    objects = [], found = [], past = [], future = [], current = fresh();
    hint();
    refresh();
    $("canvas").focus();
  });
}

// The server may have forgotten the image: it is sent again, once.
async function withImage(ask) {
  try {
    return await ask(image.id);
  } catch (error) {
    if (!(error instanceof api.Failure) || !error.message.includes("send it again")) throw error;
    await api.upload(image.blob);
    return ask(image.id);
  }
}

// Width and height of the part of the logits that is the image.
function area() {
  const { width, height } = image.bitmap, longest = Math.max(width, height), side = model.low_res;
  if (model.squash) return [side, side];
  const input = model.image_size, scaled = (n) => Math.floor(n * input / longest + 0.5) / input * side;
  return [scaled(width), scaled(height)];
}

// ---- Prompts ----

function remember() {
  past.push({ current: { ...current, points: [...current.points], labels: [...current.labels] }, objects: [...objects] });
  if (past.length > 200) past.shift();
  future = [];
}

function travel(from, to) {
  if (from.length === 0) return;
  to.push({ current, objects });
  ({ current, objects } = from.pop());
  refresh();
  if (current.pending) ask();
}

function question(of, refine = true) {
  const prompt = {};
  if (of.points.length > 0) Object.assign(prompt, { points: of.points, labels: of.labels });
  if (of.box) prompt.box = of.box;
  if (of.brush) prompt.mask_input = brushLogits(of.brush);
  const refining = refine && of.masks && !of.brush && of.points.length > 1;
  if (refining) prompt.mask_id = of.masks[of.choice].mask_id;
  // Several clicks or a box are hardly ambiguous: SAM's advice is one mask then.
  prompt.multimask = !refining;
  return prompt;
}

let asked = 0;
async function ask() {
  const number = ++asked;
  if (current.points.length === 0 && !current.box && !current.brush) {
    current.masks = null;
    current.pending = false;
    refresh();
    return;
  }
  const state = current;
  state.pending = true; // until its answer is there, also where undo comes back to it
  const result = await attempt(() => withImage(async (id) => {
    try {
      return await api.predict(id, question(state));
    } catch (error) {
      // The server remembers the last masks alone, and none of an image that was sent again.
      if (!(error instanceof api.Failure) || !error.message.includes("mask_id")) throw error;
      return api.predict(id, question(state, false));
    }
  }));
  if (!result || number !== asked || state !== current) return;
  current.pending = false;
  current.masks = result.masks.map((mask) => ({ ...mask, mask: bytes(mask.segmentation) }));
  current.choice = result.best;
  refresh();
}

function addPoint(x, y, label) {
  remember();
  current.points.push([x, y]);
  current.labels.push(label);
  stopPreview();
  refresh();
  ask();
}

function keep() {
  if (!current.masks) return;
  remember();
  objects.push(objectOf(current.masks[current.choice], $("name").value.trim() || "object"));
  current = fresh();
  refresh();
}

function objectOf(mask, name) {
  const colour = COLOURS[objects.length % COLOURS.length], { width, height } = image.bitmap;
  return { ...mask, name, colour, layer: View.layer(mask.mask, width, height, colour) };
}

// ---- Hover ----

let hovering = null, hoverNext = null;
function stopPreview() {
  hoverNext = null;
  view.setPreview(null);
}

// One request at a time; of the moves meanwhile the last.
async function hover(x, y) {
  hoverNext = [x, y];
  if (hovering) return;
  hovering = new AbortController();
  while (hoverNext) {
    const [px, py] = hoverNext, began = performance.now();
    hoverNext = null;
    try {
      const result = await api.preview(image.id, { points: [[px, py]], labels: [1] }, hovering.signal);
      if (tool !== "point" || current.points.length > 0 || !image) break;
      view.setPreview(result, area(), COLOURS[objects.length % COLOURS.length]);
      await new Promise(requestAnimationFrame);
      view.draw();
      performance.measure("hover", { start: began, end: performance.now() });
    } catch {
      break; // the next click says what is wrong
    }
  }
  hovering = null;
}

// ---- The brush ----

function brushCanvas() {
  const canvas = new OffscreenCanvas(image.bitmap.width, image.bitmap.height);
  if (current.brush) canvas.getContext("2d").drawImage(current.brush, 0, 0);
  return canvas;
}

// The painted mask as the logits that the decoder takes: base 64 of int8 in quarters, +- 5 as where a mask is sure.
function brushLogits(brush) {
  const side = model.low_res, canvas = new OffscreenCanvas(side, side), [u, v] = area();
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(brush, 0, 0, u, v);
  const { data } = context.getImageData(0, 0, side, side);
  let text = "";
  for (let i = 0; i < side * side; i++) text += String.fromCharCode(data[4 * i + 3] > 127 ? 20 : 256 - 20);
  return btoa(text);
}

// ---- Everything ----

async function findAll() {
  const stop = new AbortController(), floor = (id) => Math.max(0, Number($(id).value)), of = image;
  found = [];
  refresh();
  const began = performance.now();
  const result = await attempt(() => {
    busy("finding everything", 0, () => stop.abort());
    return withImage((id) => api.everything(id, { points_per_side: Number($("side").value),
      pred_iou_thresh: Math.min(0.5, floor("iou")), stability_score_thresh: Math.min(0.6, floor("stability")) },
    ({ done, total }) => busy("finding everything", done / total, () => stop.abort()), stop.signal));
  });
  if (!result || image !== of) return; // another was opened
  const { width, height } = image.bitmap;
  found = result.masks.map((mask, i) => {
    const own = bytes(mask.segmentation), colour = COLOURS[i % COLOURS.length];
    return { ...mask, mask: own, colour, layer: View.layer(own, width, height, colour) };
  }).sort((a, b) => b.area - a.area);
  say(`${found.length} masks in ${((performance.now() - began) / 1000).toFixed(1)} s`, "note");
  refresh();
}

const passing = () => found.filter((m) => m.predicted_iou >= Number($("iou").value) &&
  m.stability_score >= Number($("stability").value));

function take(x, y) {
  const i = Math.round(y) * image.bitmap.width + Math.round(x), hit = passing().filter((m) => m.mask[i]).pop(); // smallest
  if (!hit) return;
  remember();
  objects.push(objectOf(hit, $("name").value.trim() || "object"));
  found = found.filter((m) => m !== hit);
  refresh();
}

// ---- What is shown ----

function hint() {
  $("hint").textContent = {
    point: "Click what you want to cut out. Right click, or Alt and click, what does not belong to it.",
    box: "Drag a box around the object; clicks refine it.",
    brush: "Paint roughly over the object; clicks refine it.",
    all: "",
  }[tool];
}

function setTool(name) {
  tool = name;
  stopPreview();
  for (const button of document.querySelectorAll("[data-tool]"))
    button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  $("everything").hidden = name !== "all";
  $("now").hidden = name === "all" && !current.masks;
  hint();
  refresh();
}

function drawChoices() {
  const box = $("choices"), masks = current.masks || [];
  box.replaceChildren(...(masks.length < 2 ? [] : masks.map((mask, i) => {
    const button = document.createElement("button"), small = document.createElement("small");
    const thumb = document.createElement("canvas"), { width, height } = image.bitmap, f = 96 / Math.max(width, height);
    thumb.width = Math.max(1, width * f), thumb.height = Math.max(1, height * f);
    const context = thumb.getContext("2d");
    context.globalAlpha = 0.35;
    context.drawImage(image.bitmap, 0, 0, thumb.width, thumb.height);
    context.globalAlpha = 1;
    context.drawImage(View.layer(mask.mask, width, height, [11, 95, 208]), 0, 0, thumb.width, thumb.height);
    small.textContent = mask.predicted_iou.toFixed(2);
    button.append(thumb, small);
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(i === current.choice));
    button.title = `Mask ${i + 1}, predicted IoU ${mask.predicted_iou.toFixed(3)} (Tab changes)`;
    button.onclick = () => choose(i);
    return button;
  })));
}

function choose(i) {
  current.choice = i;
  refresh();
}

function drawObjects() {
  $("count").textContent = objects.length || "";
  $("objects").replaceChildren(...objects.map((object, i) => {
    const item = document.createElement("li"), colour = document.createElement("span");
    const name = document.createElement("input"), remove = document.createElement("button");
    colour.className = "colour";
    colour.style.background = css(object.colour);
    name.value = object.name;
    name.setAttribute("aria-label", `Name of object ${i + 1}`);
    name.onchange = () => (objects[i] = { ...objects[i], name: name.value.trim() || "object" });
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove ${object.name}`);
    remove.onclick = () => {
      remember();
      objects = objects.filter((_, at) => at !== i);
      refresh();
    };
    item.append(colour, name, remove);
    return item;
  }));
}

function refresh() {
  const layers = objects.map((o) => o.layer);
  if (tool === "all") layers.push(...passing().map((m) => m.layer));
  if (image && current.masks) {
    const { width, height } = image.bitmap, colour = COLOURS[objects.length % COLOURS.length];
    layers.push(View.layer(current.masks[current.choice].mask, width, height, colour));
  }
  view.layers = layers;
  view.marks = { points: current.points, labels: current.labels, box: current.box,
    brush: current.masks ? null : current.brush };
  view.draw();
  drawChoices();
  drawObjects();
  $("now").hidden = tool === "all" && !current.masks;
  $("keep").disabled = !current.masks;
  $("undo").disabled = past.length === 0;
  $("redo").disabled = future.length === 0;
  for (const id of ["side", "iou", "stability"]) $(`${id}-value`).textContent = $(id).value;
  $("found").textContent = found.length > 0 ? `${passing().length} of ${found.length}` : "";
  $("run").disabled = !image;
  for (const button of document.querySelectorAll("[data-export]")) button.disabled = objects.length === 0 && !current.masks;
}

// ---- Pointer ----

const pointers = new Map();
let drag = null; // {kind: "box" | "brush" | "move" | "pinch", ...}

function down(event) {
  if (!image) return;
  const at = view.place(event);
  view.canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, at);
  if (pointers.size === 2) {
    drag = { kind: "pinch" };
    return;
  }
  const away = event.button === 2 || event.altKey;
  if (event.button === 1 || event.shiftKey) drag = { kind: "move", at };
  else if (!at.inside) drag = null;
  else if (tool === "box" && !away) drag = { kind: "box", from: at };
  else if (tool === "brush" && !away) {
    remember();
    drag = { kind: "brush", canvas: brushCanvas(), at, path: [at] };
  } else drag = { kind: "click", at, label: away ? 0 : 1 };
}

function moved(event) {
  if (!image) return;
  const at = view.place(event), before = pointers.get(event.pointerId);
  if (drag?.kind === "pinch" && before) {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
    const length = (p) => Math.hypot(p.cx - other.cx, p.cy - other.cy) || 1;
    view.move((at.cx - before.cx) / 2, (at.cy - before.cy) / 2);
    view.zoom(length(at) / length(before), other.cx, other.cy);
  } else if (drag?.kind === "move") {
    view.move(at.cx - drag.at.cx, at.cy - drag.at.cy);
    drag.at = at;
  } else if (drag?.kind === "box") {
    view.marks.box = boxOf(drag.from, at);
    view.draw();
  } else if (drag?.kind === "brush") {
    const context = drag.canvas.getContext("2d");
    context.lineWidth = Math.max(image.bitmap.width, image.bitmap.height) / 40;
    context.lineCap = "round";
    context.strokeStyle = "#0b5fd0";
    context.beginPath();
    context.moveTo(drag.at.x + 0.5, drag.at.y + 0.5);
    context.lineTo(at.x + 0.5, at.y + 0.5);
    context.stroke();
    drag.at = at;
    drag.path.push(at);
    view.marks.brush = drag.canvas;
    view.draw();
  } else if (!drag && tool === "point" && current.points.length === 0 && !current.masks) {
    if (at.inside && event.pointerType !== "touch") hover(at.x, at.y);
    else {
      stopPreview();
      view.draw();
    }
  }
  if (pointers.has(event.pointerId)) pointers.set(event.pointerId, at);
}

function boxOf(a, b) {
  const { width, height } = image.bitmap, in_ = (v, most) => Math.max(0, Math.min(most - 1, v));
  return [in_(Math.min(a.x, b.x), width), in_(Math.min(a.y, b.y), height), in_(Math.max(a.x, b.x), width),
    in_(Math.max(a.y, b.y), height)];
}

function up(event) {
  const at = view.place(event), was = drag;
  pointers.delete(event.pointerId);
  if (was?.kind === "pinch") {
    if (pointers.size === 0) drag = null;
    return;
  }
  drag = null;
  if (was?.kind === "click") {
    if (tool === "all") take(was.at.x, was.at.y);
    else addPoint(was.at.x, was.at.y, was.label);
  }
  if (was?.kind === "box") {
    const box = boxOf(was.from, at);
    if (box[2] - box[0] < 3 || box[3] - box[1] < 3) addPoint(was.from.x, was.from.y, 1);
    else {
      remember();
      current = { ...fresh(), box };
      refresh();
      ask();
    }
  }
  if (was?.kind === "brush") {
    // The decoder was trained with masks beside points: some of the stroke are points of the object.
    const along = [0.15, 0.5, 0.85].map((f) => was.path[Math.floor(f * (was.path.length - 1))]);
    const points = [...(current.brush ? current.points : []), ...along.map(({ x, y }) => [x, y])];
    current = { ...fresh(), brush: was.canvas, points, labels: points.map(() => 1) };
    refresh();
    ask();
  }
}

const canvas = view.canvas;
canvas.addEventListener("pointerdown", down);
canvas.addEventListener("pointermove", moved);
canvas.addEventListener("pointerup", up);
canvas.addEventListener("pointercancel", (event) => {
  pointers.delete(event.pointerId);
  drag = null;
});
canvas.addEventListener("pointerleave", () => {
  stopPreview();
  view.draw();
});
canvas.addEventListener("contextmenu", (event) => event.preventDefault());
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const at = view.place(event);
  if (image) view.zoom(Math.exp(-event.deltaY / 500), at.cx, at.cy);
}, { passive: false });

// ---- Keys, buttons, files ----

const keys = {
  Enter: keep,
  Escape: () => {
    remember();
    current = fresh();
    refresh();
  },
  Tab: () => current.masks && choose((current.choice + 1) % current.masks.length),
  1: () => setTool("point"), 2: () => setTool("box"), 3: () => setTool("brush"), 4: () => setTool("all"),
  0: () => image && view.fit(),
};

document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" && event.target.type !== "range") return;
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key.toLowerCase() === "z" && !event.shiftKey) travel(past, future);
  else if (command && (event.key.toLowerCase() === "y" || event.key.toLowerCase() === "z")) travel(future, past);
  else if (command || event.altKey) return;
  else if (event.key === "Tab" && (event.target !== canvas || !current.masks)) return;
  else if (event.key === "Enter" && event.target.tagName === "BUTTON") return;
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});

const openFile = (file) => file && open(file, file.name || "image.png");
for (const button of document.querySelectorAll("[data-tool]")) button.onclick = () => setTool(button.dataset.tool);
$("undo").onclick = () => travel(past, future);
$("redo").onclick = () => travel(future, past);
$("keep").onclick = keep;
$("run").onclick = findAll;
$("open").onclick = $("choose").onclick = () => $("file").click();
$("file").onchange = () => openFile($("file").files[0]);
$("example").onclick = () => attempt(async () => open(await (await fetch("page/coffee.jpg")).blob(), "coffee.jpg"));
for (const id of ["side", "iou", "stability"]) $(id).oninput = refresh;
for (const button of document.querySelectorAll("[data-export]"))
  button.onclick = () => attempt(() => exportAs(button.dataset.export,
    objects.length > 0 ? objects : [objectOf(current.masks[current.choice], $("name").value || "object")],
    image.bitmap, image.name));
addEventListener("paste", (event) => openFile([...event.clipboardData.files].find((f) => f.type.startsWith("image/"))));
$("stage").addEventListener("dragover", (event) => {
  event.preventDefault();
  $("stage").classList.add("over");
});
$("stage").addEventListener("dragleave", () => $("stage").classList.remove("over"));
$("stage").addEventListener("drop", (event) => {
  event.preventDefault();
  $("stage").classList.remove("over");
  openFile(event.dataTransfer.files[0]);
});
addEventListener("beforeunload", (event) => objects.length > 0 && event.preventDefault());

await attempt(async () => {
  model = await api.model();
  $("side").value = model.automatic.points_per_side;
  $("iou").value = model.automatic.pred_iou_thresh;
  $("stability").value = model.automatic.stability_score_thresh;
  $("about").textContent = `${model.name || "model"}, ${model.precision || "GPU"}`;
});
setTool("point");
