// The server, by addresses relative to the page, so that it may stand behind a prefix.

export class Failure extends Error {}

async function checked(response) {
  if (response.ok) return response;
  let text = `${response.status} ${response.statusText}`;
  try {
    text = (await response.json()).error || text;
  } catch {
    // not JSON: a proxy's page
  }
  throw new Failure(text);
}

const post = (path, body, options = {}) =>
  fetch(path, { method: "POST", body: JSON.stringify(body), ...options,
    headers: { "Content-Type": "application/json", ...options.headers } });

export const model = async () => (await checked(await fetch("v1/model"))).json();

export const upload = async (bytes) =>
  (await checked(await fetch("v1/images", { method: "POST", body: bytes,
    headers: { "Content-Type": "application/octet-stream" } }))).json();

export const predict = async (id, prompt) => (await checked(await post(`v1/images/${id}/predict`, prompt))).json();

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
