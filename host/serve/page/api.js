// The server, by addresses relative to the page, so that it may stand behind a prefix.

export class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function checked(response) {
  if (response.ok) return response;
  let text = `${response.status} ${response.statusText}`;
  try {
    text = (await response.json()).error || text;
  } catch {
    // not JSON: a proxy's page
  }
  throw new Failure(text, response.status);
}

const post = (path, body, options = {}) =>
  fetch(path, { method: options.method || "POST", body: JSON.stringify(body), signal: options.signal,
    headers: { "Content-Type": "application/json", ...options.headers } });

export const model = async () => (await checked(await fetch("v1/model"))).json();

export const upload = async (bytes) =>
  (await checked(await fetch("v1/images", { method: "POST", body: bytes,
    headers: { "Content-Type": "application/octet-stream" } }))).json();

export const predict = async (id, prompt) => (await checked(await post(`v1/images/${id}/predict`, prompt))).json();

// The image as the server sees it, for files that the browser cannot read.
export const pixels = async (id) => (await checked(await fetch(`v1/images/${id}/pixels`))).blob();

// ---- The folder that is labelled ----

export const folder = async () => (await checked(await fetch("v1/folder"))).json();
export const openInFolder = async (id) => (await checked(await post(`v1/folder/images/${id}`, {}))).json();
export const fileInFolder = async (id) => (await checked(await fetch(`v1/folder/images/${id}/file`))).blob();
export const annotations = async (id) => (await checked(await fetch(`v1/folder/images/${id}/annotations`))).json();
export const classes = async () => (await checked(await fetch("v1/folder/classes"))).json();
const change = async (path, body, etag) =>
  (await checked(await post(path, body, { method: "PUT", headers: { "If-Match": `"${etag}"` } }))).json();
export const saveAnnotations = (id, body, etag) => change(`v1/folder/images/${id}/annotations`, body, etag);
export const saveClasses = (list, etag) => change("v1/folder/classes", { classes: list }, etag);

// ---- Masks ----

// What the detector finds of the phrases, as masks with label, score and box.
export const text = async (id, question, signal) =>
  (await checked(await post(`v1/images/${id}/text`, question, { signal }))).json();

// The best mask's logits: {logits: Int8Array [side, side], side, score}.
export async function preview(id, prompt, signal) {
  const response = await checked(await post(`v1/images/${id}/predict`, { ...prompt, format: "logits", best: true },
    { signal }));
  return { logits: new Int8Array(await response.arrayBuffer()), side: Number(response.headers.get("Samc-Shape").split(",")[1]),
    score: Number(response.headers.get("Samc-Scores")) };
}

// Every mask; `progress` hears of points that are done.
export async function everything(id, options, progress, signal) {
  const response = await checked(await post(`v1/images/${id}/auto`, options,
    { signal, headers: { Accept: "text/event-stream" } }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { value, done } = await reader.read();
    if (done) throw new Failure("the server stopped");
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const [, event, data] = text.slice(0, end).match(/^event: (\w+)\ndata: (.*)$/s);
      if (event === "progress") progress(JSON.parse(data));
      if (event === "error") throw new Failure(JSON.parse(data).error);
      if (event === "result") return JSON.parse(data);
    }
  }
}
