// What the page says: errors for a while, and what it is busy with.
const $ = (id) => document.getElementById(id);

let saying;
export function say(text, kind = "error") {
  $("message").textContent = text;
  $("message").className = kind;
  clearTimeout(saying);
  saying = setTimeout(() => ($("message").textContent = ""), 6000);
}

export function busy(text, value, cancel) {
  $("busy").hidden = !text;
  $("busy-text").textContent = text || "";
  if (value === undefined) $("bar").removeAttribute("value");
  else $("bar").value = value;
  $("cancel").hidden = !cancel;
  $("cancel").onclick = cancel || null;
}

export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") say(error.message);
    return undefined;
  } finally {
    busy(null);
  }
}
