// The page: one image, objects that were cut out of it, and the one that is being cut out now.
import * as api from "./api.js";
import { bytes, drawn } from "./mask.js";
import { View } from "./view.js";
import { attempt, busy, say } from "./messages.js";
import { canvasOf, logitsOf, stroke } from "./brush.js";
import { exportAs } from "./export.js";
import { Found } from "./found.js";
import { Labels, newUid } from "./folder.js";
import { choiceButton, objectItem } from "./panel.js";
import { followPointer } from "./pointer.js";

const $ = (id) => document.getElementById(id);
const COLOURS = [[0, 130, 230], [245, 150, 20], [60, 180, 75], [230, 25, 75], [160, 60, 220], [20, 200, 200],
  [240, 50, 230], [190, 220, 40], [250, 190, 212], [0, 128, 128], [220, 190, 255], [170, 110, 40]];
const css = (c) => `rgb(${c.join(",")})`;
const view = new View($("canvas"));

let model = null;
let image = null; // {id, bitmap, name, send}
let tool = "point";
let objects = []; // {uid, name, colour, mask, layer, segmentation, area, bbox, ...}; another list when one changes
let current = fresh();
let past = [], future = []; // of {current, objects}
let background = false; // what a click says, where there is no right button
let labels = null; // the folder that is labelled, if any

// A prompt in the making, and what came of it.
function fresh() {
  return { points: [], labels: [], box: null, brush: null, strokes: [], masks: null, choice: 0 };
}

// ---- The image ----

const LARGEST = 4096; // side of what is sent; larger ones are drawn smaller first

let opening = 0; // the last that was begun is the one that stays

// Shows an image and everything that belongs to it anew.
function begin(next) {
  image = next;
  objects = [], past = [], future = [], current = fresh();
  found.clear();
  hint();
  refresh();
}

async function read(blob) {
  try {
    return await createImageBitmap(blob);
  } catch {
    return null; // not a format of the browser's
  }
}

// What is shown and what the server has are the same pixels, upright; it can read more kinds of files than a browser.
async function shown(bitmap, sent) {
  if (!bitmap) bitmap = await read(await api.pixels(sent.id));
  if (!bitmap || sent.width !== bitmap.width || sent.height !== bitmap.height)
    throw new api.Failure("the server and the browser see different sizes of this image");
  return bitmap;
}

async function open(blob, name) {
  const number = ++opening;
  await attempt(async () => {
    busy("reading the image");
    let bitmap = await read(blob);
    const scale = bitmap ? Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height)) : 1;
    if (bitmap && (scale < 1 || blob.size > model.max_bytes)) {
      const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
      canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
      bitmap = await createImageBitmap(blob);
    }
    if (number !== opening) return;
    if (bitmap) {
      $("empty").hidden = true;
      view.show(bitmap);
    }
    busy("encoding the image");
    let sent = null;
    try {
      sent = await api.upload(blob);
      bitmap = await shown(bitmap, sent);
    } catch (error) {
      if (number === opening) { // the image before stays
        view.show(image && image.bitmap);
        $("empty").hidden = image !== null;
      }
      throw error;
    }
    if (number !== opening) return;
    $("empty").hidden = true;
    view.show(bitmap);
    begin({ id: sent.id, bitmap, name, send: () => api.upload(blob) });
    $("canvas").focus();
  });
}

// An image of the folder, at its full size: its annotations are in its own pixels.
async function openEntry(entry) {
  const number = ++opening;
  noting = false;
  image = null;
  objects = [], past = [], future = [], current = fresh();
  found.clear();
  view.show(null);
  refresh();
  $("empty").hidden = $("unreadable").hidden = true;
  await attempt(async () => {
    busy("opening the image");
    try {
      const [blob, sent] = await Promise.all([api.fileInFolder(entry.id), api.openInFolder(entry.id)]);
      const bitmap = await shown(await read(blob), sent);
      if (number !== opening) return;
      view.show(bitmap);
      begin({ id: sent.id, bitmap, name: entry.name, send: () => api.openInFolder(entry.id) });
      await labels.opened(entry, bitmap.width, bitmap.height);
      if (number !== opening) return;
      resume(entry);
      $("canvas").focus();
    } catch (error) {
      if (number !== opening) return;
      if (error.status !== 422) throw new api.Failure(`${entry.name}: ${error.message}`);
      labels.bad(entry);
      $("unreadable").textContent = `${entry.name} cannot be read: ${error.message}`;
      $("unreadable").hidden = false;
    }
  });
}

// The server may have forgotten the image: it is sent again, once.
async function withImage(ask) {
  try {
    return await ask(image.id);
  } catch (error) {
    if (!(error instanceof api.Failure) || !error.message.includes("send it again")) throw error;
    await image.send();
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
  past.push({ current: { ...current, points: [...current.points], labels: [...current.labels] }, objects });
  if (past.length > 200) past.shift();
  future = [];
}

function travel(from, to) {
  if (from.length === 0) return;
  to.push({ current, objects });
  const state = from.pop();
  current = state.current;
  if (state.objects !== objects) setObjects(state.objects);
  refresh();
  if (current.pending) ask();
}

function question(of, refine = true) {
  const prompt = {};
  if (of.points.length > 0) Object.assign(prompt, { points: of.points, labels: of.labels });
  if (of.box) prompt.box = of.box;
  if (of.brush) prompt.mask_input = logitsOf(of.brush, model.low_res, area());
  const refining = refine && of.masks && !of.brush && of.points.length > 1;
  if (refining) prompt.mask_id = of.masks[of.choice].mask_id;
  // Several clicks or a box are hardly ambiguous: SAM's advice is one mask then.
  prompt.multimask = !refining;
  return prompt;
}

// A mask whose bytes are made when they are looked at: two of three readings often are not.
function unpacked(mask) {
  let made = null;
  return Object.defineProperty({ ...mask }, "mask", { enumerable: true, get: () => (made ??= bytes(mask.segmentation)) });
}

let asked = 0;
async function ask(start) {
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
  current.masks = result.masks.map(unpacked);
  current.choice = result.best;
  refresh(false);
  await painted();
  if (start !== undefined) measured("click", start);
  drawChoices(); // behind the mask that is waited for
}

function addPoint(x, y, label, start) {
  remember();
  current.points.push([x, y]);
  current.labels.push(label);
  stopPreview();
  refresh();
  return ask(start);
}

// Objects here are bodies there (folder.js).
const bodyOf = ({ uid, name, segmentation, score, predicted_iou, stability_score, bbox }) =>
  ({ uid, class: name, segmentation, score, predicted_iou, stability_score, bbox });

function setObjects(list) {
  objects = list;
  labels?.changed(list.map(bodyOf));
}

const colourOf = (name, i) => COLOURS[(labels ? Math.max(0, labels.classes.findIndex((c) => c.name === name)) : i) % COLOURS.length];
const className = () => (labels ? labels.chosenName() : $("name").value.trim() || "object");

function objectOf(mask, name, i = objects.length) {
  const colour = colourOf(name, i), { width, height } = image.bitmap;
  return { ...mask, uid: newUid(), name, colour, layer: View.layer(mask.mask, width, height, colour) };
}

// What the folder's file holds, which another program may have written. `kept`: those that are drawn already.
function objectFrom(body, kept) {
  const { width, height } = image.bitmap, name = body.class || "";
  const old = kept.get(body.uid), colour = colourOf(name, 0);
  if (old && JSON.stringify(old.segmentation) === JSON.stringify(body.segmentation)) return old.name === name ? old
    : { ...old, name, colour, layer: View.layer(old.mask, width, height, colour) };
  const mask = drawn(body, width, height);
  return { ...body, name, colour, mask: mask || new Uint8Array(width * height), strange: !mask,
    layer: mask && View.layer(mask, width, height, colour) };
}

function keep() {
  if (tool === "text" && !current.masks) return keepFound();
  if (!current.masks) return undefined;
  remember();
  setObjects([...objects, objectOf(current.masks[current.choice], className())]);
  current = fresh();
  setBackground(false);
  return refresh();
}

// Everything that the phrases found and the slider lets through.
function keepFound() {
  const masks = found.passing();
  if (masks.length === 0) return;
  remember();
  setObjects([...objects, ...masks.map((m, i) => objectOf(m, m.label, objects.length + i))]);
  found.remove(masks);
  refresh();
}

// ---- A reload ----

// The prompts that are not an object yet.
let noting = false; // not while an image is opened
function note() {
  if (!noting) return;
  const { points, labels: signs, box, strokes } = current;
  if (points.length === 0 && !box) sessionStorage.removeItem("samc prompt");
  else sessionStorage.setItem("samc prompt", JSON.stringify({ id: labels.current.id, points, labels: signs, box, strokes }));
}

function resume(entry) {
  noting = true;
  const left = JSON.parse(sessionStorage.getItem("samc prompt") || "null");
  if (left?.id !== entry.id) return;
  current = { ...fresh(), points: left.points, labels: left.labels, box: left.box, strokes: left.strokes };
  if (left.strokes.length > 0) current.brush = canvasOf(current.strokes, image.bitmap);
  refresh();
  ask();
}

// ---- Hover ----

let hovering = null, hoverNext = null;
function stopPreview() {
  hoverNext = null;
  view.setPreview(null);
}

// Once what was drawn is on its way to the screen: a task behind the frame.
const painted = () => new Promise((done) => requestAnimationFrame(() => {
  view.draw();
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    done();
  };
  port2.postMessage(null);
}));

const measured = (name, start) => performance.measure(name, { start, end: performance.now() });

// One request at a time; of the moves meanwhile the last. `start`: when the pointer moved.
async function hover(x, y, start) {
  hoverNext = [x, y, start];
  if (hovering) return;
  hovering = new AbortController();
  while (hoverNext) {
    const [px, py, began] = hoverNext;
    hoverNext = null;
    try {
      const result = await api.preview(image.id, { points: [[px, py]], labels: [1] }, hovering.signal);
      if (tool !== "point" || current.points.length > 0 || !image) break;
      view.setPreview(result, area(), colourOf(className(), objects.length));
      await painted();
      measured("hover", began);
    } catch {
      break; // the next click says what is wrong
    }
  }
  hovering = null;
}

// ---- Everything, and text ----

const found = new Found({ image: () => image, tool: () => tool, say, busy, attempt, withImage, refresh: () => refresh(),
  colour: (i) => COLOURS[i % COLOURS.length] });

function take(x, y) {
  const hit = found.at(Math.round(y) * image.bitmap.width + Math.round(x));
  if (!hit) return;
  remember();
  setObjects([...objects, objectOf(hit, tool === "text" ? hit.label : className())]);
  found.remove([hit]);
  refresh();
}

// ---- What is shown ----

function hint() {
  $("hint").textContent = {
    point: "Click what you want to cut out. Right click, or Alt and click, what does not belong to it.",
    box: "Drag a box around the object; clicks refine it.",
    brush: "Paint roughly over the object; clicks refine it.",
    all: "", text: "",
  }[tool];
}

function setTool(name) {
  tool = name;
  stopPreview();
  for (const button of document.querySelectorAll("[data-tool]"))
    button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  hint();
  refresh();
  if (name === "text" && found.list().length === 0) $("phrases").focus();
}

function setBackground(on) {
  background = on;
  for (const button of document.querySelectorAll("[data-sign]"))
    button.setAttribute("aria-checked", String((button.dataset.sign === "background") === on));
}

// Of a mask that is no object yet: kept with it.
function layerOf(mask, colour) {
  const { width, height } = image.bitmap;
  mask.layers ??= new Map();
  if (!mask.layers.has(css(colour))) mask.layers.set(css(colour), View.layer(mask.mask, width, height, colour));
  return mask.layers.get(css(colour));
}

let choicesOf = null; // what the thumbnails show
function drawChoices() {
  const box = $("choices"), masks = current.masks || [];
  if (choicesOf !== current.masks)
    box.replaceChildren(...(masks.length < 2 ? [] : masks.map((mask, i) =>
      choiceButton(mask, i, image.bitmap, layerOf(mask, [11, 95, 208]), () => choose(i)))));
  choicesOf = current.masks;
  [...box.children].forEach((button, i) => button.setAttribute("aria-checked", String(i === current.choice)));
}

function choose(i) {
  current.choice = i;
  refresh();
}

function rename(object, name) {
  remember();
  const colour = labels ? colourOf(name, 0) : object.colour, { width, height } = image.bitmap;
  const next = { ...object, name, colour, layer: object.layer && View.layer(object.mask, width, height, colour) };
  setObjects(objects.map((o) => (o.uid === object.uid ? next : o)));
  refresh();
}

let objectsOf = null; // what the list shows
function drawObjects() {
  if (objectsOf === objects) return;
  objectsOf = objects;
  $("count").textContent = objects.length || "";
  $("objects").replaceChildren(...objects.map((object, i) =>
    objectItem(object, i, { colour: css(object.colour), classes: labels?.classes.map((c) => c.name),
      rename: (name) => rename(object, name), remove: () => {
        remember();
        setObjects(objects.filter((o) => o.uid !== object.uid));
        refresh();
      } })));
}

// `all`: the readings' thumbnails too.
function refresh(all = true) {
  view.layers = [...objects.map((o) => o.layer).filter(Boolean), ...found.layers()];
  if (image && current.masks)
    view.layers.push(layerOf(current.masks[current.choice], colourOf(className(), objects.length)));
  view.marks = { points: current.points, labels: current.labels, box: current.box,
    brush: current.masks ? null : current.brush, found: found.labels() };
  view.draw();
  if (all || !current.masks) drawChoices();
  drawObjects();
  found.draw();
  note();
  const finds = tool === "all" || tool === "text";
  $("now").hidden = finds && !current.masks;
  $("signs").hidden = finds;
  $("keep").disabled = !current.masks;
  $("undo").disabled = past.length === 0;
  $("redo").disabled = future.length === 0;
  for (const button of document.querySelectorAll("[data-export]")) button.disabled = objects.length === 0 && !current.masks;
}

// ---- Pointer ----

function drawBox(box) {
  remember();
  current = { ...fresh(), box };
  refresh();
  return ask();
}

function drawStroke(painting, path) {
  remember();
  // The decoder was trained with masks beside points: some of the stroke are points of the object.
  const along = [0.15, 0.5, 0.85].map((f) => path[Math.floor(f * (path.length - 1))]);
  const points = [...(current.brush ? current.points : []), ...along], strokes = [...current.strokes, path];
  current = { ...fresh(), brush: painting, strokes, points, labels: points.map(() => 1) };
  refresh();
  return ask();
}

const { canvas } = view;
followPointer(view, {
  image: () => image, tool: () => tool, background: () => background, brush: () => canvasOf(current.strokes, image.bitmap),
  stroke: (context, path) => stroke(context, path, image.bitmap),
  hovers: () => tool === "point" && current.points.length === 0 && !current.masks, hover,
  left: () => {
    stopPreview();
    view.draw();
  },
  click: (x, y, label, start) => (tool === "all" || tool === "text" ? take(x, y) : addPoint(x, y, label, start)),
  boxed: drawBox, painted: drawStroke,
});

// ---- Keys, buttons, files ----

const keys = {
  enter: keep,
  escape: () => {
    if (current.points.length > 0 || current.box || current.brush) remember();
    current = fresh();
    refresh();
  },
  tab: () => current.masks && choose((current.choice + 1) % current.masks.length),
  p: () => setTool("point"), b: () => setTool("box"), r: () => setTool("brush"), e: () => setTool("all"),
  t: () => model?.detector && setTool("text"), x: () => setBackground(!background),
  0: () => image && view.fit(), f: () => image && view.fit(),
};
const folderKeys = { arrowleft: () => labels.step(-1), arrowright: () => labels.step(1), pageup: () => labels.step(-1),
  pagedown: () => labels.step(1), d: () => labels.doneAndNext() };

document.addEventListener("keydown", (event) => {
  const { tagName, type } = event.target, range = tagName === "INPUT" && type === "range";
  if ((tagName === "INPUT" && !range) || tagName === "TEXTAREA") return;
  const key = event.key.toLowerCase();
  if ((range || tagName === "SELECT") && (key.startsWith("arrow") || key.startsWith("page") || tagName === "SELECT")) return;
  const command = event.ctrlKey || event.metaKey;
  if (command && key === "z" && !event.shiftKey) travel(past, future);
  else if (command && (key === "y" || key === "z")) travel(future, past);
  else if (command || event.altKey) return;
  else if (key === "tab" && (event.target !== canvas || !current.masks)) return;
  else if (key === "enter" && tagName === "BUTTON") return;
  else if (keys[key]) keys[key]();
  else if (labels && folderKeys[key]) folderKeys[key]();
  else if (labels && key >= "1" && key <= "9" && labels.choose(Number(key) - 1)); // a class
  else return;
  event.preventDefault();
});

function openFile(file) {
  if (file && labels) say("The images of the folder are labelled here; open another samc serve for this one");
  else if (file) open(file, file.name || "image.png");
}

for (const button of document.querySelectorAll("[data-tool]")) button.onclick = () => setTool(button.dataset.tool);
$("undo").onclick = () => travel(past, future);
$("redo").onclick = () => travel(future, past);
$("keep").onclick = keep;
$("keep-found").onclick = keepFound;
for (const button of document.querySelectorAll("[data-sign]"))
  button.onclick = () => setBackground(button.dataset.sign === "background");
$("open").onclick = $("choose").onclick = () => $("file").click();
$("file").onchange = () => openFile($("file").files[0]);
$("example").onclick = () => attempt(async () => open(await (await fetch("page/coffee.jpg")).blob(), "coffee.jpg"));
for (const button of document.querySelectorAll("[data-export]"))
  button.onclick = () => attempt(() => exportAs(button.dataset.export,
    objects.length > 0 ? objects : [objectOf(current.masks[current.choice], className())],
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
addEventListener("beforeunload", (event) => (labels ? labels.unsaved() : objects.length > 0) && event.preventDefault());

const page = { say, attempt, open: openEntry, setObjects: (bodies, { width, height }) => {
  if (image?.bitmap.width !== width || image.bitmap.height !== height) return;
  const kept = new Map(objects.map((o) => [o.uid, o]));
  past = [], future = []; // undo would take away what others did
  objects = bodies.map((body) => objectFrom(body, kept));
  refresh();
}, classChosen: () => {
  objects = objects.map((o) => (o.colour === colourOf(o.name, 0) ? o : objectFrom(bodyOf(o), new Map())));
  refresh();
}, colour: (name) => css(colourOf(name, 0)) };

await attempt(async () => {
  model = await api.model();
  found.begin(model);
  $("about").textContent = `${model.name || "model"}, ${model.precision || "GPU"}`;
  if (!model.folder) return;
  labels = new Labels(page, await api.folder());
  labels.drawClasses();
  $("open").hidden = true;
  $("empty").hidden = labels.images.length > 0;
});
setTool("point");
if (labels) {
  $("empty").querySelector("p").textContent = `There are no images in ${labels.name}.`;
  $("choose").hidden = $("example").hidden = true;
  await labels.begin();
}
