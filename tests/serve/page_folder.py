"""What page_test.py does with a folder: classes, states, what is saved, what others save meanwhile, reloads."""

import json
import tempfile
from pathlib import Path

from harness import Server


def foreign():
    """A COCO file of somebody else's: an image that is not in the folder, fields that nobody here knows, a polygon."""
    return {
        "info": {"year": 2026, "contributor": "somebody"},
        "licenses": [],
        "images": [
            {"id": 7, "file_name": "elsewhere.jpg", "width": 10, "height": 10, "license": 3},
            {"id": 9, "file_name": "a.jpg", "width": 600, "height": 400, "flickr_url": "x"},
        ],
        "annotations": [
            {"id": 30, "image_id": 7, "category_id": 5, "bbox": [1, 2, 3.5, 4], "keypoints": [1, 2, 2]},
            {
                "id": 31,
                "image_id": 9,
                "category_id": 5,
                "segmentation": [[10.5, 10.5, 60, 10, 60, 50, 10, 50]],
                "area": 2000,
                "bbox": [10, 10, 50, 40],
                "iscrowd": 0,
                "attributes": {"occluded": True, "score": 0.1, "tiny": 1e-07, "many": 0.12345678901234568, "one": 1.0},
            },
        ],
        "categories": [{"id": 5, "name": "cup", "supercategory": "kitchen"}],
    }


def make_folder(photo):
    folder = tempfile.TemporaryDirectory()
    root = Path(folder.name)
    (root / "more").mkdir()
    (root / "a.jpg").write_bytes(photo.read_bytes())
    (root / "broken.jpg").write_bytes(b"no image")
    # A browser reads no PNM: the server's pixels are shown.
    colours = bytes(v for y in range(60) for x in range(90) for v in (2 * x, 4 * y, 90))
    (root / "more/c.ppm").write_bytes(b"P6 90 60 255\n" + colours)
    (root / "annotations.coco.json").write_text(json.dumps(foreign()))
    return folder


def area_and_box(segmentation):
    """As pycocotools has them."""
    counts, text, i = [], segmentation["counts"], 0
    while i < len(text):
        value = shift = 0
        while True:
            byte = ord(text[i]) - 48
            value |= (byte & 31) << shift
            shift += 5
            i += 1
            if not byte & 32:
                break
        if byte & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    height, at, on = segmentation["size"][0], 0, []
    for k, n in enumerate(counts):
        on += range(at, at + n) if k % 2 else []
        at += n
    xs, ys = [p // height for p in on], [p % height for p in on]
    return len(on), [min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1]


class Folder:
    def __init__(self, page, browser, root, shot):
        self.page, self.browser, self.root, self.shot = page, browser, root, shot

    def file(self):
        return json.loads((self.root / "annotations.coco.json").read_text())

    def of(self, name):
        """The annotations of an image in the file, with their classes."""
        data = self.file()
        image = next(i["id"] for i in data["images"] if i["file_name"] == name)
        names = {c["id"]: c["name"] for c in data["categories"]}
        return [{**a, "class": names[a["category_id"]]} for a in data["annotations"] if a["image_id"] == image]

    def opened(self, name):
        self.browser.wait(
            f"document.getElementById('where').textContent === {json.dumps(name)}"
            " && document.getElementById('busy').hidden && !document.getElementById('done').disabled"
        )

    def saved(self):
        self.browser.wait("document.getElementById('saved').textContent === 'saved'")

    def states(self):
        return self.browser.run(
            "return [...document.querySelectorAll('#images button')].map((b) => b.getAttribute('aria-label'))"
        )

    def said(self, part):
        self.browser.wait(f"document.getElementById('message').textContent.includes({json.dumps(part)})")
        self.browser.run("document.getElementById('message').textContent = ''")

    def keep(self, x, y, count):
        self.page.click(x, y)
        self.browser.wait("!document.getElementById('keep').disabled")
        self.browser.keys("\ue007")  # Enter
        self.browser.wait(f"document.querySelectorAll('#objects li').length === {count}")


def kept_and_foreign(f):
    """An object of the second class; what was in the file stays as it was."""
    f.browser.keys("2")
    f.keep(300, 200, 2)
    f.saved()
    f.shot("folder")
    before, after = foreign(), f.file()
    assert [c["name"] for c in after["categories"]] == ["cup", "spoon"]
    assert after["categories"][0] == before["categories"][0] and after["info"] == before["info"]
    assert after["images"] == before["images"] and after["annotations"][:2] == before["annotations"]
    (_, own) = f.of("a.jpg")
    assert own["class"] == "spoon" and own["id"] == 32 and own["iscrowd"] == 0
    assert (own["area"], own["bbox"]) == area_and_box(own["segmentation"]), "not as pycocotools measures it"
    return own


def two_at_a_time(f, server, own):
    """Another client saves an object that the page does not know of: both stay, and what it took away is gone."""
    listing = server.ask("GET", "/v1/folder")[2]
    path = f"/v1/folder/images/{next(i['id'] for i in listing['images'] if i['name'] == 'a.jpg')}/annotations"
    _, headers, there = server.ask("GET", path)
    others = {"width": 600, "height": 400, "done": False}
    others["objects"] = [
        {"id": own["id"], "class": "spoon"},
        {"uid": "other", "class": "fork", "segmentation": own["segmentation"]},
    ]
    status, _, answer = server.ask("PUT", path, others, {"If-Match": headers["ETag"]})
    assert status == 200, answer
    f.keep(100, 350, 3)
    f.said("changed elsewhere")
    f.saved()
    assert [a["class"] for a in f.of("a.jpg")] == ["spoon", "fork", "spoon"]
    f.browser.wait("document.querySelectorAll('#objects li').length === 3")
    assert f.browser.run("return document.getElementById('undo').disabled"), "it would take away what the other did"


def the_same_uid(f):
    """Another program has a "uid" of its own, the same in all annotations and no text: each stays one."""
    data = f.file()
    before = [a["id"] for a in f.of("a.jpg")]
    assert len(before) == 3
    for annotation in data["annotations"]:
        annotation["uid"] = 7 if annotation["id"] == before[0] else "somebody"
    (f.root / "annotations.coco.json").write_text(json.dumps(data))
    f.browser.reload()
    f.opened("a.jpg")
    f.browser.wait("document.querySelectorAll('#objects li').length === 3")
    f.browser.run("const s = document.querySelector('#objects select'); s.value = 'cup'; s.onchange()")
    f.browser.wait_for(lambda: "cup" in {a["class"] for a in f.of("a.jpg")})
    assert [a["id"] for a in f.of("a.jpg")] == before
    assert [a["uid"] for a in f.of("a.jpg")] == [7, "somebody", "somebody"]


def reloads(f):
    """Prompts that are no object yet, and objects that the server did not get, are there after a reload."""
    f.page.click(250, 60)
    f.browser.wait("document.querySelectorAll('#choices button').length === 3")
    f.browser.reload()
    f.opened("a.jpg")
    f.browser.wait("document.querySelectorAll('#choices button').length === 3")
    f.browser.run("window.own = fetch; window.fetch = () => Promise.reject(new TypeError('no server'))")
    f.browser.keys("\ue007")
    f.browser.wait("document.getElementById('saved').textContent.includes('not saved')")
    f.shot("not_saved")
    f.browser.run("window.fetch = own")
    f.saved()  # it tries again by itself
    assert len(f.of("a.jpg")) == 4
    f.browser.run("window.fetch = () => Promise.reject(new TypeError('no server'))")
    f.browser.click("#objects li:nth-child(2) button")
    f.browser.wait("document.getElementById('saved').textContent.includes('not saved')")
    f.browser.reload()
    f.opened("a.jpg")
    f.saved()
    assert [a["class"] for a in f.of("a.jpg")] == ["spoon", "spoon", "spoon"]
    # Undo brings back what another list of objects had; the server gives it a new number.
    f.browser.click("#objects li:nth-child(1) button")
    f.saved()
    f.browser.wait("document.querySelectorAll('#objects li').length === 2")
    f.browser.click("#undo")
    f.browser.wait("document.querySelectorAll('#objects li').length === 3")
    f.browser.wait_for(lambda: len(f.of("a.jpg")) == 3)


def classes(f):
    browser = f.browser
    browser.type("#new-class", "plate\ue007")
    browser.wait("document.querySelectorAll('#classes li').length === 4")
    assert [c["name"] for c in f.file()["categories"]] == ["cup", "spoon", "fork", "plate"]
    browser.click("#edit-classes")
    f.shot("classes")
    browser.run("const n = document.querySelectorAll('#classes input')[1]; n.value = 'ladle'; n.onchange()")
    browser.wait("[...document.querySelectorAll('#objects select')].every((s) => s.value === 'ladle')")
    assert {a["class"] for a in f.of("a.jpg")} == {"ladle"}
    browser.click("#classes li:nth-child(2) button")
    f.said("is used")
    browser.click("#classes li:nth-child(3) button")
    browser.wait("document.querySelectorAll('#classes li').length === 3")
    browser.click("#edit-classes")
    assert [c["name"] for c in f.file()["categories"]] == ["cup", "ladle", "plate"]
    browser.run("const s = document.querySelector('#objects select'); s.value = 'plate'; s.onchange()")
    browser.wait_for(lambda: "plate" in {a["class"] for a in f.of("a.jpg")})


def around(f):
    """Done and next; a file that is no image; one that the browser cannot read."""
    f.browser.run("document.activeElement.blur()")
    f.browser.keys("d")
    f.browser.wait("document.getElementById('unreadable').textContent.startsWith('broken.jpg cannot be read: ')")
    f.browser.wait("document.getElementById('where').textContent === 'broken.jpg'")
    assert f.states() == ["a.jpg, done", "broken.jpg, cannot be read", "more/c.ppm, untouched"], f.states()
    f.shot("broken")
    assert next(i for i in f.file()["images"] if i["file_name"] == "a.jpg")["samc_done"] is True
    f.browser.keys("\ue014")  # Right
    f.opened("more/c.ppm")
    assert f.browser.run("return document.getElementById('next').disabled")
    f.shot("pnm")
    f.browser.keys("\ue00e", "\ue00e")  # Page up
    f.opened("a.jpg")
    assert f.browser.run("return document.getElementById('done').getAttribute('aria-pressed')") == "true"
    f.browser.click("#done")
    f.browser.wait_for(lambda: not any("samc_done" in i for i in f.file()["images"]))
    f.browser.wait("document.querySelector('#images button').getAttribute('aria-label') === 'a.jpg, begun'")


def label(samc, photo, make_page, browser, shot):
    with make_folder(photo) as name, Server(samc, name, "--classes", "cup,spoon") as server:
        f = Folder(None, browser, Path(name), shot)
        browser.go(f"http://127.0.0.1:{server.port}/")
        f.opened("a.jpg")
        f.page = make_page()
        browser.wait("document.querySelectorAll('#objects li').length === 1")  # the polygon
        own = kept_and_foreign(f)
        two_at_a_time(f, server, own)
        reloads(f)
        classes(f)
        the_same_uid(f)
        around(f)
        browser.narrow(400, 800)
        shot("narrow_folder")
        width = browser.run("return document.documentElement.scrollWidth")
        assert width <= browser.run("return innerWidth"), f"the page is {width} pixels wide"
        wrong = [entry["message"] for entry in browser.log() if entry["level"] == "SEVERE"]
        wrong = [w for w in wrong if "412" not in w and "409" not in w and "422" not in w]  # said above
        assert wrong == [], wrong
