#!/usr/bin/env python3
"""The page of `samc serve` in headless Chromium (Debian's, by chromedriver): what a user does, and that the masks are
the command line's. Pictures of its states are left in a folder, to be looked at.

    page_test.py SAMC ROOT [SCREENSHOTS]
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
os.environ["SAMC"] = str(SAMC)
sys.path.insert(0, str(ROOT / "tests"))

from harness import Server
from page_folder import label
from text_cli_test import widen
from webdriver import Browser

PHOTO = ROOT / "tools/examples/coffee.jpg"
RIGHT = 2


def cli(*options):
    done = subprocess.run(
        [SAMC, "segment", PHOTO, *options, "--format", "rle"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)["masks"]


class Page:
    """A page with the photograph open, by what users see and touch."""

    def __init__(self, browser, shots):
        self.browser, self.shots = browser, shots
        box = browser.run(
            "const r = document.getElementById('canvas').getBoundingClientRect(); return [r.x, r.y, r.width, r.height]"
        )
        scale = min(box[2] / 600, box[3] / 400) * 0.97
        self.place = lambda x, y: (
            box[0] + (box[2] - 600 * scale) / 2 + (x + 0.5) * scale,
            box[1] + (box[3] - 400 * scale) / 2 + (y + 0.5) * scale,
        )

    def shot(self, name):
        if self.shots:
            self.browser.screenshot(self.shots / f"{name}.png")

    def idle(self):
        self.browser.wait("document.getElementById('busy').hidden && document.getElementById('empty').hidden")
        message = self.browser.run("return document.getElementById('message').textContent")
        assert message == "" or " masks in " in message, message

    def gesture(self, *steps):
        self.gesture_of(lambda: self.browser.pointer(*steps))

    def gesture_of(self, make):
        """Something with a pointer, until the page has its answer."""
        gestures = "Number(document.getElementById('canvas').dataset.gestures || 0)"
        before = self.browser.run("return " + gestures)
        make()
        self.browser.wait(f"{gestures} > {before}")
        self.idle()

    def click(self, x, y, button=0):
        self.gesture(("move", *self.place(x, y)), ("down", button), ("up", button))

    def drag(self, *points):
        steps = [("move", *self.place(*points[0])), ("down", 0)]
        self.gesture(*steps, *[("move", *self.place(*point)) for point in points[1:]], ("up", 0))

    def count(self):
        return self.browser.run("return document.querySelectorAll('#objects li').length")

    def download(self, kind, ending):
        """The files that an export leaves."""
        folder = Path(self.browser.folder.name)
        before = set(folder.iterdir())
        self.browser.click(f"[data-export={kind}]")
        new = lambda: sorted(f for f in set(folder.iterdir()) - before if f.name.endswith(ending))
        self.browser.wait_for(new)
        return new()


def open_photo(browser, server, shots):
    shot = lambda name: shots and browser.screenshot(shots / f"{name}.png")
    browser.go(f"http://127.0.0.1:{server.port}/")
    browser.wait("document.getElementById('about').textContent !== ''")
    shot("empty")
    # A server that does not take it: no image is there then.
    browser.run("window.own = fetch; window.fetch = () => Promise.reject(new Error('no server'))")
    browser.type("#file", str(PHOTO))
    browser.wait("document.getElementById('message').textContent !== ''")
    assert not browser.run("return document.getElementById('empty').hidden"), "an image that is not there is shown"
    browser.run("window.fetch = own; document.getElementById('message').textContent = ''")
    browser.run("document.getElementById('file').value = ''")
    browser.type("#file", str(PHOTO))
    page = Page(browser, shots)
    page.idle()
    return page


def same_place(page, x, y):
    """A place as the page sends it: pixels of the window are whole numbers."""
    px, py = (round(v) for v in page.place(x, y))
    x0, y0 = page.place(0, 0)
    scale = page.place(1, 0)[0] - x0
    return (px - x0) / scale, (py - y0) / scale


def near(a, b, shape=(400, 600)):
    """IoU of two of pycocotools' strings: a click is a fraction of a pixel off."""

    def bits(text):
        counts, i = [], 0
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
        out, on = bytearray(), 0
        for n in counts:
            out += bytes([on]) * n
            on ^= 1
        assert len(out) == shape[0] * shape[1]
        return int.from_bytes(out, "big")

    a, b = bits(a), bits(b)
    return (a & b).bit_count() / max(1, (a | b).bit_count())


def forgotten(page, server):
    """The server lost the image, and with it the masks that a click refines."""
    readings = "document.querySelectorAll('#choices button').length"
    page.click(300, 200)
    page.browser.wait(f"{readings} === 3")
    page.click(250, 300)
    page.browser.wait(f"{readings} === 0")  # refined: one mask
    assert server.ask("DELETE", f"/v1/images/{hashlib.sha256(PHOTO.read_bytes()).hexdigest()}")[0] == 200
    page.click(60, 60, RIGHT)
    page.browser.wait(f"{readings} === 3")  # asked again, without the mask
    page.idle()
    page.browser.keys("\ue00c")  # Escape


def use(page):
    browser = page.browser
    # Hover, click, refine, keep.
    browser.pointer(("move", *page.place(300, 200)))
    browser.wait("performance.getEntriesByName('hover').length > 0")
    page.shot("hover")
    page.click(300, 200)
    x, y = same_place(page, 300, 200)
    expected = max(cli("--point", f"{x},{y}"), key=lambda m: m["predicted_iou"])
    page.shot("click")
    assert browser.run("return document.querySelectorAll('#choices button').length") == 3
    browser.click("#keep")
    (file,) = page.download("rle", ".rle.json")
    (object_,) = json.loads(file.read_text())
    iou = near(object_["segmentation"]["counts"], expected["rle"]["counts"])
    assert iou > 0.999, f"the page's mask is not the command line's: IoU {iou}"
    page.click(300, 200)
    page.click(60, 60, RIGHT)
    page.shot("refined")
    browser.click("#undo")
    browser.click("#redo")
    browser.click("#keep")
    assert page.count() == 2
    # A box, by its key; the brush.
    browser.keys("b")
    page.drag((120, 40), (300, 200), (480, 390))
    page.shot("box")
    corners = [*same_place(page, 120, 40), *same_place(page, 480, 390)]
    expected = max(cli("--box", ",".join(map(str, corners))), key=lambda m: m["predicted_iou"])
    browser.click("#keep")
    browser.click("[data-tool=brush]")
    page.drag((250, 250), (300, 260), (350, 250), (300, 240))
    page.shot("brush")
    browser.keys("\ue007")  # Enter
    assert page.count() == 4
    (file,) = page.download("coco", ".coco.json")
    data = json.loads(file.read_text())
    assert [a["id"] for a in data["annotations"]] == [1, 2, 3, 4] and data["images"][0]["width"] == 600
    iou = near(data["annotations"][2]["segmentation"]["counts"], expected["rle"]["counts"])
    assert iou > 0.999, f"the box's mask is not the command line's: IoU {iou}"
    assert all(a["area"] > 0 for a in data["annotations"])
    # Everything: progress, thresholds, a mask becomes an object.
    browser.keys("e")
    browser.run("const s = document.getElementById('side'); s.value = 16; s.dispatchEvent(new Event('input'))")
    browser.click("#run")
    browser.wait("document.getElementById('found').textContent !== ''", 120)
    page.shot("everything")
    before = browser.run("return document.getElementById('found').textContent")
    browser.run("const s = document.getElementById('iou'); s.value = 0.6; s.dispatchEvent(new Event('input'))")
    after = browser.run("return document.getElementById('found').textContent")
    assert int(after.split()[0]) < int(before.split()[0]), f"{before}, then {after}"
    browser.run("const s = document.getElementById('iou'); s.value = 0; s.dispatchEvent(new Event('input'))")
    page.click(400, 30)
    assert page.count() == 5
    # Outlines enclose the areas; pictures are there.
    (file,) = page.download("polygon", ".polygons.json")
    rings = json.loads(file.read_text())
    area = lambda ring: abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1]))) / 2
    largest = [max(map(area, r["polygons"])) for r in rings]
    for polygon, annotation in zip(largest, data["annotations"]):
        assert polygon > 0.5 * annotation["area"], (polygon, annotation["area"])
    for kind, ending in (("png", ".masks.zip"), ("cutout", ".cutouts.zip")):
        (file,) = page.download(kind, ending)
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            pictures = [archive.read(name) for name in archive.namelist()]
        assert len(pictures) == 5 and all(p.startswith(b"\x89PNG") for p in pictures), kind
    # One that was given another name can be taken away.
    browser.run("window.first = document.querySelector('#objects input'); first.value = 'a'")
    browser.run("first.dispatchEvent(new Event('change'))")
    browser.click("#objects li button")
    assert page.count() == 4, "it is still there"
    # Undo all, and nothing was said on the console.
    while not browser.run("return document.getElementById('undo').disabled"):
        browser.click("#undo")
    assert page.count() == 0
    wrong = [entry["message"] for entry in browser.log() if entry["level"] == "SEVERE"]
    assert wrong == [], wrong


def ragged(browser):
    """An outline of 400,000 corners is simplified; cut at the furthest alone it would take hours."""
    script = """return import('./page/mask.js').then(({ simpler }) => {
        const ring = [];
        for (let i = 0; i < 200000; i++) ring.push([i, i % 2]);
        for (let i = 199999; i >= 0; i--) ring.push([i, 10 + i % 2]);
        return [simpler(ring, 0.25).length, simpler(ring, 2).length];
    })"""
    fine, coarse = browser.promised(script)
    assert fine > 200000 and coarse < 10, (fine, coarse)


def phrases(browser, shots):
    """The field for text, with a tiny detector of random weights: what it finds is the command line's."""
    with tempfile.TemporaryDirectory() as name:
        detector = Path(name) / "owlv2"
        widen(ROOT / "tests/data/golden_owlv2", detector)
        command = [SAMC, "text", PHOTO, "cat", "a dog", "--detector", detector, "--threshold", "0.5", "--format", "rle"]
        done = subprocess.run([*command, "-q"], capture_output=True, text=True, check=True)
        expected = json.loads(done.stdout)["masks"]
        assert len(expected) > 3
        with Server(SAMC, "--detector", detector) as server:
            page = open_photo(browser, server, shots)
            browser.keys("t")
            browser.type("#phrases", "cat, a dog\ue007")
            browser.wait("document.getElementById('found-text').textContent !== ''")
            browser.run("const s = document.getElementById('score'); s.value = 0.5; s.oninput()")
            page.shot("text")
            found = browser.run("return document.getElementById('found-text').textContent")
            assert found.startswith(f"{len(expected)} of "), (found, len(expected))
            page.gesture(("move", *page.place(*center(expected[-1]["box"]))), ("down", 0), ("up", 0))
            browser.click("#keep-found")
            browser.wait(f"document.querySelectorAll('#objects li').length >= {len(expected)}")
            (file,) = page.download("coco", ".coco.json")
            data = json.loads(file.read_text())
            names = {c["id"]: c["name"] for c in data["categories"]}
            got = [(names[a["category_id"]], a["segmentation"]["counts"]) for a in data["annotations"]]
            assert sorted(got) == sorted((m["label"], m["rle"]["counts"]) for m in expected)


def center(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def touch(page):
    """A finger has no right button: what it says about clicks is chosen first."""
    browser = page.browser
    browser.run("window.asked = []; const own = fetch; window.fetch = (p, o) => (asked.push([p, o?.body]), own(p, o))")
    for sign, x, y in (("object", 300, 200), ("background", 60, 60)):
        browser.click(f"[data-sign={sign}]")
        page.gesture_of(lambda: browser.tap(*page.place(x, y)))
    labels = browser.run("return asked.map(([p, b]) => p.endsWith('/predict') && JSON.parse(b).labels)")
    assert labels[-1] == [1, 0], labels


def hover_times(page, moves=60):
    """Milliseconds from the pointer's move to the picture of its mask."""
    browser, size = page.browser, (600, 400)
    browser.run("performance.clearMeasures()")
    browser.keys("p")
    for i in range(moves):
        browser.pointer(("move", *page.place(30 + (i * 37) % (size[0] - 60), 30 + (i * 53) % (size[1] - 60))))
        browser.wait(f"performance.getEntriesByName('hover').length > {i}")
    return browser.run("return performance.getEntriesByName('hover').map((e) => e.duration)")


def screenshots():
    """The folder for them, or None."""
    shots = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    return shots


def main():
    shots = screenshots()
    with Server(SAMC) as server:
        with Browser(1400, 900) as browser:
            page = open_photo(browser, server, shots)
            use(page)
            browser.keys("p")
            forgotten(page, server)
            ragged(browser)
            times = sorted(hover_times(page))
            print(f"hover: median {statistics.median(times):.0f} ms, p95 {times[int(0.95 * len(times))]:.0f} ms")
        with Browser(400, 800, dark=True) as browser:
            browser.narrow(400, 800)
            if shots:
                (shots / "narrow").mkdir(exist_ok=True)
            page = open_photo(browser, server, shots and shots / "narrow")
            touch(page)
            page.shot("click")
            width = browser.run("return document.documentElement.scrollWidth")
            assert width <= browser.run("return innerWidth"), f"the page is {width} pixels wide"
    with Browser(1400, 900) as browser:
        phrases(browser, shots)
        shot = lambda name: shots and browser.screenshot(shots / f"{name}.png")
        label(SAMC, PHOTO, lambda: Page(browser, shots), browser, shot)
    print("the page does what it should")


if __name__ == "__main__":
    main()
