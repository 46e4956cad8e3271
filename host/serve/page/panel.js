// Pieces of the panel beside the image.

// One of the readings of a prompt: its mask over the faded image.
export function choiceButton(mask, i, bitmap, layer, choose) {
  const button = document.createElement("button"), small = document.createElement("small");
  const thumb = document.createElement("canvas"), f = 96 / Math.max(bitmap.width, bitmap.height);
  thumb.width = Math.max(1, bitmap.width * f), thumb.height = Math.max(1, bitmap.height * f);
  const context = thumb.getContext("2d");
  context.globalAlpha = 0.35;
  context.drawImage(bitmap, 0, 0, thumb.width, thumb.height);
  context.globalAlpha = 1;
  context.scale(thumb.width / bitmap.width, thumb.height / bitmap.height);
  context.drawImage(layer.canvas, layer.x, layer.y);
  small.textContent = mask.predicted_iou.toFixed(2);
  button.append(thumb, small);
  button.setAttribute("role", "radio");
  button.title = `Mask ${i + 1}, predicted IoU ${mask.predicted_iou.toFixed(3)} (Tab changes)`;
  button.onclick = choose;
  return button;
}

// Its class, from the list there is.
function classPicker(object, classes) {
  const select = document.createElement("select"), names = classes.includes(object.name) ? classes : [...classes, object.name];
  for (const name of names) select.add(new Option(name || "(no class)", name, false, name === object.name));
  return select;
}

// Its name, any.
function namePicker(object) {
  const name = document.createElement("input");
  name.value = object.name;
  return name;
}

// An object in the list. `with_`: {colour, classes: names or undefined, rename(name), remove()}
export function objectItem(object, i, with_) {
  const item = document.createElement("li"), colour = document.createElement("span"), remove = document.createElement("button");
  const name = with_.classes ? classPicker(object, with_.classes) : namePicker(object);
  colour.className = "colour";
  colour.style.background = with_.colour;
  if (object.strange) item.title = "It is of another size than the image, and is kept as it is";
  name.setAttribute("aria-label", with_.classes ? `Class of object ${i + 1}` : `Name of object ${i + 1}`);
  name.onchange = () => with_.rename(name.value.trim() || "object");
  remove.textContent = "×";
  remove.setAttribute("aria-label", `Remove ${object.name}`);
  remove.onclick = with_.remove;
  item.append(colour, name, remove);
  return item;
}
