// What a pointer does on the canvas: clicks, boxes, strokes of the brush, moving and zooming, with one finger or two.

// `on`: {image(), tool(), background(), hovers(), hover(x, y, time), left(), click(x, y, label, time), boxed(box),
// brush(): what is painted so far, stroke(context, path), painted(canvas, path)}; what is asked of the server is a promise.
export function followPointer(view, on) {
  const { canvas } = view, pointers = new Map();
  let drag = null; // {kind: "click" | "box" | "brush" | "move" | "pinch", ...}

  function boxOf(a, b) {
    const { width, height } = on.image().bitmap, in_ = (v, most) => Math.max(0, Math.min(most - 1, v));
    return [in_(Math.min(a.x, b.x), width), in_(Math.min(a.y, b.y), height), in_(Math.max(a.x, b.x), width),
      in_(Math.max(a.y, b.y), height)];
  }

  function down(event) {
    if (!on.image()) return;
    const at = view.place(event);
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at);
    if (pointers.size === 2) {
      drag = { kind: "pinch" };
      return;
    }
    const tool = on.tool(), away = event.button === 2 || event.altKey || (on.background() && tool === "point");
    if (event.button === 1 || event.shiftKey) drag = { kind: "move", at };
    else if (!at.inside) drag = null;
    else if (tool === "box" && !away) drag = { kind: "box", from: at };
    else if (tool === "brush" && !away) drag = { kind: "brush", canvas: on.brush(), path: [[at.x, at.y]] };
    else drag = { kind: "click", at, label: away ? 0 : 1 };
    if (drag) drag.image = on.image();
  }

  function pinch(event, at, before) {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
    const length = (p) => Math.hypot(p.cx - other.cx, p.cy - other.cy) || 1;
    view.move((at.cx - before.cx) / 2, (at.cy - before.cy) / 2);
    view.zoom(length(at) / length(before), other.cx, other.cy);
  }

  function moved(event) {
    if (!on.image()) return;
    const at = view.place(event), before = pointers.get(event.pointerId);
    if (drag?.kind === "pinch") {
      if (before && pointers.size === 2) pinch(event, at, before);
    } else if (drag?.kind === "move") {
      view.move(at.cx - drag.at.cx, at.cy - drag.at.cy);
      drag.at = at;
    } else if (drag?.kind === "box") {
      view.marks.box = boxOf(drag.from, at);
      view.draw();
    } else if (drag?.kind === "brush") {
      drag.path.push([at.x, at.y]);
      on.stroke(drag.canvas.getContext("2d"), drag.path.slice(-2));
      view.marks.brush = drag.canvas;
      view.draw();
    } else if (!drag && on.hovers()) {
      if (at.inside && event.pointerType !== "touch") on.hover(at.x, at.y, event.timeStamp);
      else on.left();
    }
    if (before) pointers.set(event.pointerId, at);
  }

  function released(event) {
    const at = view.place(event), was = drag;
    pointers.delete(event.pointerId);
    if (was?.kind === "pinch") {
      if (pointers.size === 0) drag = null;
      return undefined;
    }
    drag = null;
    if (!was || was.image !== on.image()) return undefined; // another was opened meanwhile
    if (was.kind === "click") return on.click(was.at.x, was.at.y, was.label, event.timeStamp);
    if (was.kind === "brush") return on.painted(was.canvas, was.path);
    if (was.kind !== "box") return undefined;
    const box = boxOf(was.from, at);
    if (box[2] - box[0] >= 3 && box[3] - box[1] >= 3) return on.boxed(box);
    return on.click(was.from.x, was.from.y, 1, event.timeStamp);
  }

  // `data-gestures` counts what was made with the pointer and is answered, for who drives the page from outside.
  let gestures = 0;
  async function up(event) {
    await released(event);
    canvas.dataset.gestures = ++gestures;
  }

  canvas.addEventListener("pointerdown", down);
  canvas.addEventListener("pointermove", moved);
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", (event) => {
    pointers.delete(event.pointerId);
    drag = null;
  });
  canvas.addEventListener("pointerleave", on.left);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = view.place(event);
    if (on.image()) view.zoom(Math.exp(-event.deltaY / 500), at.cx, at.cy);
  }, { passive: false });
}
