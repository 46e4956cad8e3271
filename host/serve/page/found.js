// Masks that were found all at once: every one of the image, or those of phrases. Clicks make objects of them.
import * as api from "./api.js";
import { bytes } from "./mask.js";
import { View } from "./view.js";

const MOST = 300; // of a phrase, the best
const $ = (id) => document.getElementById(id);
const value = (id) => Number($(id).value);

// `page`: {image(), model(), tool(), say, busy, attempt, withImage, refresh, colour(i)}
export class Found {
  constructor(page) {
    this.page = page;
    this.clear();
    $("run").onclick = () => this.everything();
    $("find").onclick = () => this.text();
    $("phrases").onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.text();
    };
    for (const id of ["side", "iou", "stability", "score"]) $(id).oninput = () => this.page.refresh();
  }

  clear() {
    this.masks = { all: [], text: [] };
    this.drawnFor = null;
  }

  // Of the tool that is chosen.
  list() {
    return this.masks[this.page.tool()] || [];
  }

  passing() {
    if (this.page.tool() === "text") return this.list().filter((m) => m.score >= value("score"));
    return this.list().filter((m) => m.predicted_iou >= value("iou") && m.stability_score >= value("stability"));
  }

  // The smallest under a pixel.
  at(i) {
    return this.passing().filter((m) => m.mask[i]).reduce((best, m) => (best && best.area <= m.area ? best : m), undefined);
  }

  remove(masks) {
    const tool = this.page.tool();
    this.masks = { ...this.masks, [tool]: this.list().filter((m) => !masks.includes(m)) };
  }

  async ask(text, stop, question) {
    const of = this.page.image(), began = performance.now(), tool = this.page.tool();
    this.masks = { ...this.masks, [tool]: [] };
    this.page.refresh();
    const result = await this.page.attempt(() => {
      this.page.busy(text, tool === "all" ? 0 : undefined, () => stop.abort());
      return this.page.withImage(question);
    });
    if (!result || this.page.image() !== of) return; // another was opened
    const list = result.masks.map((mask, i) => ({ ...mask, mask: bytes(mask.segmentation),
      colour: this.page.colour(mask.phrase ?? i) })).sort((a, b) => b.area - a.area);
    this.masks = { ...this.masks, [tool]: list };
    this.page.say(`${list.length} masks in ${((performance.now() - began) / 1000).toFixed(1)} s`, "note");
    this.page.refresh();
  }

  everything() {
    const stop = new AbortController(), floor = (id) => Math.max(0, value(id)), text = "finding everything";
    return this.ask(text, stop, (id) => api.everything(id, { points_per_side: value("side"),
      pred_iou_thresh: Math.min(0.5, floor("iou")), stability_score_thresh: Math.min(0.6, floor("stability")) },
    ({ done, total }) => this.page.busy(text, done / total, () => stop.abort()), stop.signal));
  }

  phrases() {
    return $("phrases").value.split(/[,\n]/).map((p) => p.trim()).filter(Boolean);
  }

  text() {
    const stop = new AbortController(), phrases = this.phrases();
    if (phrases.length === 0 || !this.page.image()) return undefined;
    // Asked once for more than is shown, so that the slider has something to show.
    return this.ask("looking for it", stop,
      (id) => api.text(id, { phrases, threshold: value("score-floor"), top: MOST }, stop.signal));
  }

  begin(model) {
    $("side").value = model.automatic.points_per_side;
    $("iou").value = model.automatic.pred_iou_thresh;
    $("stability").value = model.automatic.stability_score_thresh;
    if (!model.detector) return;
    const { threshold } = model.detector;
    $("score").min = $("score-floor").value = Math.max(0.001, threshold / 4);
    $("score").value = threshold;
    $("text-tool").hidden = false;
  }

  draw() {
    const tool = this.page.tool(), list = this.list(), passing = this.passing(), image = this.page.image();
    $("everything").hidden = tool !== "all";
    $("text").hidden = tool !== "text";
    for (const id of ["side", "iou", "stability", "score"]) $(`${id}-value`).textContent = Number($(id).value);
    $("found").textContent = tool === "all" && list.length > 0 ? `${passing.length} of ${list.length}` : "";
    $("found-text").textContent = tool === "text" && list.length > 0 ? `${passing.length} of ${list.length}` : "";
    $("run").disabled = $("find").disabled = !image;
    $("keep-found").disabled = tool !== "text" || passing.length === 0;
  }

  // All that are shown as one picture, made again only when they are others.
  layers() {
    const passing = this.passing(), image = this.page.image()?.bitmap;
    if (passing.length === 0 || !image) return [];
    const what = passing.map((m) => m.mask);
    if (this.drawnFor?.length !== what.length || what.some((mask, i) => mask !== this.drawnFor[i])) {
      const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext("2d");
      for (const m of passing) {
        m.layer ??= View.layer(m.mask, image.width, image.height, m.colour);
        context.drawImage(m.layer.canvas, m.layer.x, m.layer.y);
      }
      this.layer = { canvas, x: 0, y: 0 };
      this.drawnFor = what;
    }
    return [this.layer];
  }

  // Boxes with their phrases.
  labels() {
    if (this.page.tool() !== "text") return [];
    return this.passing().filter((m) => m.box).map((m) => ({ box: m.box, text: `${m.label} ${m.score.toFixed(2)}`, colour: m.colour }));
  }
}
