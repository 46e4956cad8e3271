// A folder that is labelled: its list, its classes, and what is saved of each image.
import * as api from "./api.js";
import { drawn, string } from "./mask.js";

const $ = (id) => document.getElementById(id);
const STATES = { untouched: "untouched", begun: "begun", done: "done", bad: "cannot be read" };

export const newUid = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");

// Annotations as they are held here: by names that last and are each one's own. Those of newUid() are; to another program
// "uid" may mean something else.
function bodiesOf(annotations) {
  const bodies = new Map();
  for (const annotation of annotations) {
    const { id, uid } = annotation, own = /^[0-9a-f]{16}$/.test(uid) && !bodies.has(uid) ? uid : `#${id}`;
    bodies.set(own, { ...annotation, uid: own });
  }
  return bodies;
}
const same = (a, b) => a.class === b.class && JSON.stringify(a.segmentation) === JSON.stringify(b.segmentation);

// What was changed here and what was changed elsewhere since `base`, a Map by uid. An object that one side took away and
// the other changed stays; where both gave it a class, the one from here counts.
export function merge(base, mine, theirs) {
  const here = new Map(mine.map((body) => [body.uid, body])), result = [];
  for (const their of theirs) {
    const own = here.get(their.uid), before = base.get(their.uid);
    here.delete(their.uid);
    if (own) result.push({ ...their, class: before && own.class === before.class ? their.class : own.class });
    else if (!before || !same(their, before)) result.push(their);
  }
  for (const own of here.values())
    if (!base.has(own.uid) || !same(own, base.get(own.uid))) result.push(own);
  return result;
}

// The annotations of one image: what the server has, what is here, and the way from one to the other. It outlives the
// image on the page until all is saved.
class Document {
  constructor(labels, entry, width, height) {
    Object.assign(this, { labels, entry, width, height, base: new Map(), dirty: false, running: false,
      failed: false });
    this.key = `samc ${labels.key} ${entry.id}`;
  }

  adopt({ etag, done, objects }) {
    this.etag = etag;
    this.baseDone = done;
    this.base = bodiesOf(objects);
    this.wanted = { objects: [...this.base.values()], done };
  }

  async load() {
    this.adopt(await api.annotations(this.entry.id));
    // What was on its way when the page, the server or the machine stopped.
    const left = JSON.parse(localStorage.getItem(this.key) || "null");
    if (left && this.labels.writable) {
      this.wanted = this.merged(new Map(left.base), left.baseDone, left.wanted);
      this.save();
    }
  }

  merged(base, baseDone, wanted) {
    return { objects: merge(base, wanted.objects, [...this.base.values()]),
      done: wanted.done !== baseDone ? wanted.done : this.baseDone };
  }

  change(objects, done) {
    this.wanted = { objects, done };
    this.save();
  }

  // Whether something is not on the server yet.
  unsaved() {
    return this.dirty || this.running || this.failed;
  }

  save() {
    if (!this.labels.writable) return;
    this.dirty = true;
    this.failed = false;
    try {
      localStorage.setItem(this.key, JSON.stringify({ base: [...this.base], baseDone: this.baseDone, wanted: this.wanted }));
    } catch {
      // no room: then it is lost if the server is gone and the page is closed
    }
    if (!this.running) this.run();
  }

  // As it is sent: of what the server has already, only the class.
  sent(body) {
    const before = this.base.get(body.uid);
    if (before) return { id: before.id, class: body.class };
    let { segmentation } = body;
    if (typeof segmentation?.counts !== "string")
      segmentation = { size: [this.height, this.width],
        counts: string(drawn(body, this.width, this.height), this.width, this.height) };
    const scores = Object.fromEntries(["score", "predicted_iou", "stability_score"].filter((k) => typeof body[k] === "number")
      .map((k) => [k, body[k]]));
    if (body.uid.startsWith("#")) body.uid = newUid();
    return { uid: body.uid, class: body.class || "object", segmentation, ...scores };
  }

  async run() {
    this.running = true;
    for (let wait = 500; this.dirty;) {
      const { wanted } = this;
      this.dirty = false;
      this.labels.tell("saving…");
      try {
        const { etag, ids } = await api.saveAnnotations(this.entry.id, { width: this.width, height: this.height,
          done: wanted.done, objects: wanted.objects.map((body) => this.sent(body)) }, this.etag);
        this.etag = etag;
        this.baseDone = wanted.done;
        this.base = new Map(wanted.objects.map((body, i) => [body.uid, { ...body, id: ids[i] }]));
        if (!this.dirty) localStorage.removeItem(this.key);
        this.labels.saved(this.entry, wanted);
      } catch (error) {
        if (error.status === 412) {
          try {
            await this.catchUp();
            continue;
          } catch {
            // the server went away in between
          }
        } else if (error.status >= 400 && error.status < 500) {
          this.labels.page.say(`${this.entry.name}: ${error.message}`);
          if (error.status !== 422) { // the file is no COCO, as while it is being written
            this.failed = true;
            this.labels.tell("not saved");
            break;
          }
        }
        this.dirty = true;
        this.labels.tell("not saved yet; trying again");
        await new Promise((done) => setTimeout(done, wait));
        wait = Math.min(2 * wait, 8000);
      }
    }
    this.running = false;
  }

  // Somebody else was faster: what they did and what was done here become one.
  async catchUp() {
    const { base, baseDone } = this, theirs = await api.annotations(this.entry.id), { wanted } = this;
    this.adopt(theirs);
    this.wanted = this.merged(base, baseDone, wanted);
    this.dirty = true;
    this.labels.shows(this);
    this.labels.page.say("This image was changed elsewhere too; both are kept", "note");
  }

  // What others did meanwhile, if nothing was done here.
  async look() {
    if (this.unsaved()) return;
    const theirs = await api.annotations(this.entry.id);
    if (this.unsaved() || theirs.etag === this.etag) return;
    this.adopt(theirs);
    this.labels.shows(this);
  }
}

// `page`: {say, attempt, open(entry), close(text), setObjects(bodies, document), objects(): bodies, renamed(from, to)}
export class Labels {
  constructor(page, listing) {
    Object.assign(this, { page, current: null, document: null, documents: new Set(), chosen: Number(sessionStorage.getItem("samc class")), editing: false });
    this.take(listing);
    $("folder").hidden = $("folder-list").hidden = $("classes-section").hidden = false;
    $("label-name").hidden = true;
    $("previous").onclick = () => this.step(-1);
    $("next").onclick = () => this.step(1);
    $("done").onclick = () => this.markDone(!this.document?.wanted.done);
    $("edit-classes").onclick = () => {
      this.editing = !this.editing;
      this.drawClasses();
    };
    $("new-class").addEventListener("keydown", (event) => event.key === "Enter" && this.addClass());
    $("add-class").onclick = () => this.addClass();
    addEventListener("focus", () => this.look());
    this.tell(this.writable ? "" : "read-only: nothing is saved");
  }

  take(listing) {
    this.key = listing.key;
    this.name = listing.name;
    this.writable = listing.writable;
    this.classes = listing.classes;
    this.classesTag = listing.classes_etag;
    const bad = new Set((this.images || []).filter((entry) => entry.state === "bad").map((entry) => entry.id));
    this.images = listing.images.map((entry) => (bad.has(entry.id) ? { ...entry, state: "bad" } : entry));
    if (this.current) this.current = this.images.find((entry) => entry.id === this.current.id) || this.current;
    if (this.document) this.document.entry = this.current;
    this.drawList();
    this.drawClasses();
  }

  // ---- Images ----

  // The image that the address names, else the first that is not done.
  begin() {
    const named = this.images.find((entry) => entry.id === location.hash.slice(1));
    return this.go(named || this.images.find((entry) => entry.state !== "done") || this.images[0]);
  }

  index() {
    return this.images.indexOf(this.current);
  }

  step(by) {
    return this.go(this.images[this.index() + by]);
  }

  async go(entry) {
    if (!entry) return;
    this.current = entry;
    this.document = null;
    history.replaceState(null, "", `#${entry.id}`);
    this.drawList();
    await this.page.open(entry);
  }

  // The image is on the page: its annotations.
  async opened(entry, width, height) {
    const earlier = [...this.documents].find((d) => d.entry.id === entry.id && d.unsaved());
    const document_ = earlier || new Document(this, entry, width, height);
    if (!earlier) await document_.load();
    else if (earlier.failed) earlier.save();
    this.documents.add(document_);
    if (this.current !== entry) return;
    for (const other of this.documents) if (other !== document_ && !other.unsaved()) this.documents.delete(other);
    this.document = document_;
    this.shows(document_);
    this.drawList();
  }

  bad(entry) {
    entry.state = "bad";
    this.drawList();
  }

  shows(document_) {
    if (document_ === this.document) this.page.setObjects(document_.wanted.objects, document_);
    this.drawDone();
  }

  // The objects on the page are others now.
  changed(bodies) {
    if (this.document) this.document.change(bodies, this.document.wanted.done);
  }

  markDone(done) {
    if (!this.document) return;
    this.document.change(this.document.wanted.objects, done);
    if (!this.writable) this.current.state = done ? "done" : "begun";
    this.drawDone();
    this.drawItem(this.current);
  }

  async doneAndNext() {
    this.markDone(true);
    await this.step(1);
  }

  saved(entry, { objects, done }) {
    const own = this.images.find((e) => e.id === entry.id) || entry;
    own.annotations = objects.length;
    own.state = done ? "done" : objects.length > 0 ? "begun" : "untouched";
    this.drawItem(own);
    if (![...this.documents].some((d) => d.dirty || d.failed)) this.tell("saved");
  }

  unsaved() {
    return [...this.documents].some((d) => d.unsaved());
  }

  async look() {
    try {
      const listing = await api.folder();
      if (listing.key !== this.key) location.reload(); // another folder is served here now
      else this.take(listing);
      await this.document?.look();
    } catch {
      // the server is away: what is to be saved says so
    }
  }

  // ---- Classes ----

  chosenName() {
    return this.classes[this.chosen]?.name || "object";
  }

  choose(i) {
    if (i >= this.classes.length) return false;
    this.chosen = i;
    sessionStorage.setItem("samc class", i);
    this.drawClasses();
    this.page.classChosen();
    return true;
  }

  // An edit of the list, made on the list as it is.
  async editClasses(edit) {
    const chosen = this.classes[this.chosen]?.id;
    await this.page.attempt(async () => {
      for (;;) {
        const list = edit(this.classes);
        try {
          ({ classes: this.classes, etag: this.classesTag } = await api.saveClasses(list, this.classesTag));
          break;
        } catch (error) {
          if (error.status !== 412) throw error;
          ({ classes: this.classes, etag: this.classesTag } = await api.classes());
        }
      }
      await this.document?.look();
    });
    this.chosen = Math.max(0, this.classes.findIndex((c) => c.id === chosen));
    this.drawClasses();
    this.page.classChosen();
  }

  addClass() {
    const name = $("new-class").value.trim();
    if (!name) return undefined;
    $("new-class").value = "";
    return this.editClasses((list) => (list.some((c) => c.name === name) ? list : [...list, { name }]));
  }

  // ---- What is shown ----

  tell(text) {
    $("saved").textContent = text;
    $("saved").className = text.startsWith("not") || text.startsWith("read-only") ? "small warn" : "small";
  }

  drawDone() {
    const done = Boolean(this.document?.wanted.done);
    $("done").setAttribute("aria-pressed", String(done));
    $("done").disabled = !this.document;
  }

  drawItem(entry) {
    const item = $("images").children[this.images.indexOf(entry)];
    if (!item) return;
    const button = item.firstChild, [mark, name, count] = button.children;
    mark.className = `state ${entry.state}`;
    mark.title = STATES[entry.state];
    name.textContent = entry.name;
    count.textContent = entry.annotations || "";
    button.setAttribute("aria-label", `${entry.name}, ${STATES[entry.state]}`);
    button.setAttribute("aria-current", String(entry === this.current));
    $("progress").textContent = `${this.images.filter((e) => e.state === "done").length} of ${this.images.length} done`;
  }

  drawList() {
    const list = $("images");
    if (list.children.length !== this.images.length)
      list.replaceChildren(...this.images.map((entry, i) => {
        const item = document.createElement("li"), button = document.createElement("button");
        for (const kind of ["state", "name", "small"]) {
          const part = document.createElement("span");
          part.className = kind;
          button.append(part);
        }
        button.onclick = () => this.go(this.images[i]);
        item.append(button);
        return item;
      }));
    for (const entry of this.images) this.drawItem(entry);
    const i = this.index();
    $("where").textContent = i < 0 ? this.name : `${this.current.name}`;
    $("number").textContent = `${i + 1} / ${this.images.length}`;
    $("previous").disabled = i <= 0;
    $("next").disabled = i + 1 >= this.images.length;
    const item = list.children[i];
    if (item) { // the list alone scrolls
      if (item.offsetTop < list.scrollTop) list.scrollTop = item.offsetTop;
      else if (item.offsetTop + item.offsetHeight > list.scrollTop + list.clientHeight)
        list.scrollTop = item.offsetTop + item.offsetHeight - list.clientHeight;
    }
    this.drawDone();
  }

  drawClasses() {
    $("edit-classes").setAttribute("aria-pressed", String(this.editing));
    $("edit-classes").hidden = this.classes.length === 0 || !this.writable;
    $("class-row").hidden = !this.writable;
    $("classes").replaceChildren(...this.classes.map((c, i) => {
      const item = document.createElement("li");
      if (this.editing) {
        const name = document.createElement("input"), remove = document.createElement("button");
        name.value = c.name;
        name.setAttribute("aria-label", `Name of class ${i + 1}`);
        name.onchange = () => name.value.trim() &&
          this.editClasses((list) => list.map((o) => (o.id === c.id ? { ...o, name: name.value.trim() } : o)));
        remove.textContent = "×";
        remove.setAttribute("aria-label", `Remove class ${c.name}`);
        remove.onclick = () => this.editClasses((list) => list.filter((o) => o.id !== c.id));
        item.append(name, remove);
        return item;
      }
      const button = document.createElement("button"), key = document.createElement("kbd"), colour = document.createElement("span");
      colour.className = "colour";
      colour.style.background = this.page.colour(c.name);
      key.textContent = i < 9 ? i + 1 : "";
      button.append(colour, c.name, key);
      button.setAttribute("role", "radio");
      button.setAttribute("aria-checked", String(i === this.chosen));
      button.onclick = () => this.choose(i);
      item.append(button);
      return item;
    }));
  }
}
