#!/usr/bin/env python3
"""How long the page of `samc serve` takes, in headless Chromium on the same machine: from the pointer's move to the
painted preview, from a click to its painted mask, and clicks while every mask of the image is made.

    bench/page_hover.py [SAMC] [--model FILE] [--image FILE] [--moves 200] [--clicks 50]

The photograph is enlarged to 1500 x 1000 (tools/examples/coffee.jpg by default). Times begin at the pointer event's own
timestamp and end in the task behind the frame that paints (performance.measure(), host/serve/page/app.js).
"""

import argparse
import base64
import hashlib
import json
import os
import select
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 1500, 1000

ENLARGE = """const [text] = arguments, bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
return createImageBitmap(new Blob([bytes])).then((bitmap) => {
    const canvas = new OffscreenCanvas(%d, %d);
    canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return canvas.convertToBlob({ type: 'image/jpeg', quality: 0.95 });
}).then((blob) => new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.split(',')[1]);
    reader.readAsDataURL(blob);
}))""" % (
    WIDTH,
    HEIGHT,
)
MEASURED = "performance.getEntriesByName('{}').map((e) => e.duration)"


def line(name, times):
    times = sorted(times)
    p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
    print(f"{name}: {len(times)}, median {statistics.median(times):.0f} ms, p95 {p95:.0f} ms, most {times[-1]:.0f} ms")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("samc", nargs="?", default=ROOT / "build/release/bin/samc", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--image", type=Path, default=ROOT / "tools/examples/coffee.jpg")
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--clicks", type=int, default=50)
    options = parser.parse_args()
    sys.argv[1:] = [str(options.samc), str(ROOT)]
    sys.path.insert(0, str(ROOT / "tests/serve"))
    import page_test
    from harness import Server
    from webdriver import Browser

    load = os.getloadavg()
    print(f"load {load[0]:.1f} {load[1]:.1f}, {os.cpu_count()} processors, model {options.model or 'default'}")
    with tempfile.TemporaryDirectory() as folder, Server(options.samc, model=options.model) as server:
        with Browser(1400, 900) as browser:
            browser.go(f"http://127.0.0.1:{server.port}/")
            photo = Path(folder) / "photo.jpg"
            photo.write_bytes(
                base64.b64decode(browser.promised(ENLARGE, base64.b64encode(options.image.read_bytes()).decode()))
            )
            browser.type("#file", str(photo))
            browser.wait("!document.getElementById('run').disabled && document.getElementById('busy').hidden")
            page = page_test.Page(browser, None)  # places are those of a picture of 600 x 400
            place = lambda i: page.place(30 + (i * 37) % 540, 30 + (i * 53) % 340)
            for i in range(options.moves):
                browser.pointer(("move", *place(i)))
                browser.wait(f"performance.getEntriesByName('hover').length > {i}")
            line("hover", browser.run("return " + MEASURED.format("hover")))

            def clicks(first, count):
                for i in range(first, first + count):
                    browser.pointer(("move", *place(i)), ("down", 0), ("up", 0))
                    browser.wait(f"performance.getEntriesByName('click').length > {i}")
                    browser.keys("\ue00c")  # Escape
                return browser.run("return " + MEASURED.format("click"))[first:]

            line("click", clicks(0, options.clicks))
            # Every mask of the image for another client, that hangs up when the clicks are through.
            image = hashlib.sha256(photo.read_bytes()).hexdigest()
            other = server.connect(timeout=None)
            body = json.dumps({"points_per_side": 128})
            other.request("POST", f"/v1/images/{image}/auto", body, {"Content-Type": "application/json"})
            during = clicks(options.clicks, options.clicks)
            running = not select.select([other.sock], [], [], 0)[0]
            other.close()
            line("click while every mask is made" if running else "click, the masks were ready too soon", during)


if __name__ == "__main__":
    main()
