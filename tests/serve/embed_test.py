#!/usr/bin/env python3
"""docs/examples/embed.html in headless Chromium: behind a proxy below a prefix, beside the server it is a page of, and
from another server that --allow-origin names. Its masks are the command line's.

    embed_test.py SAMC ROOT
"""

import http.client
import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

from harness import Server, wait_until
from webdriver import Browser

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
PHOTO, EXAMPLE = ROOT / "tools/examples/coffee.jpg", ROOT / "docs/examples/embed.html"
PREFIX = "/tools/masks/"


class Proxy(http.server.BaseHTTPRequestHandler):
    """/ is a page of one's own, /tools/masks/ is samc."""

    to, asked = None, []

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.startswith(PREFIX):
            path, _, where = self.path.partition("?samc=")
            page = EXAMPLE.read_text().replace('data-samc="samc/"', f'data-samc="{where}"').encode()
            found = path == "/tools/"
            self.answer(200 if found else 404, {"Content-Type": "text/html"}, page if found else b"")
            return
        type(self).asked.append((self.command, self.path))
        connection = http.client.HTTPConnection("127.0.0.1", self.to, timeout=120)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "accept-encoding")}
        connection.request(self.command, self.path.removeprefix(PREFIX[:-1]), body or None, headers)
        reply = connection.getresponse()
        content = reply.read()
        kept = {k: v for k, v in reply.getheaders() if k.lower() not in ("connection", "content-length", "date")}
        self.answer(reply.status, kept, content)
        connection.close()

    do_POST = do_GET

    def answer(self, status, headers, content):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def cli(*options):
    command = [SAMC, "segment", PHOTO, *options, "--format", "rle"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["masks"]


def click(browser, x, y, button=0):
    box = browser.run("const r = document.querySelector('#picture img').getBoundingClientRect(); return [r.x, r.y]")
    browser.pointer(("move", box[0] + x, box[1] + y), ("down", button), ("up", button))


def said(browser, area):
    """Waits for the area of a mask; what is said before it is not."""
    browser.wait(f"document.querySelector('#said').textContent.startsWith('{area} pixels')", 300)
    assert browser.run("return document.querySelector('#mask').naturalWidth") in (0, 600)
    browser.wait("document.querySelector('#mask').naturalWidth == 600", 300)


def use(browser, url):
    """A click, then one on the background."""
    one, two = ["--point", "300,200"], ["--point", "300,200,1", "--point", "60,60,0", "--single"]
    browser.go(url)
    browser.type("input", str(PHOTO))
    browser.wait("document.querySelector('#said').textContent == '600 x 400'", 300)
    click(browser, 300, 200)
    said(browser, max(cli(*one), key=lambda mask: mask["predicted_iou"])["area"])
    click(browser, 60, 60, 2)
    said(browser, cli(*two)[0]["area"])


def main():
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    own = f"127.0.0.1:{proxy.server_port}"
    with Browser() as browser:
        with Server(SAMC, "--host", own) as server:
            Proxy.to = server.port
            use(browser, f"http://{own}/tools/?samc=masks/")
            paths = [path for _, path in Proxy.asked]
            assert all(path.startswith(PREFIX + "v1/") for path in paths) and len(paths) == 3, paths
            # The page of samc serve itself, behind the prefix: nothing of it is asked for outside.
            browser.go(f"http://{own}{PREFIX}")
            browser.wait("document.getElementById('about').textContent !== ''", 300)
        with Server(SAMC, "--allow-origin", f"http://localhost:{proxy.server_port}") as server:
            use(browser, f"http://localhost:{proxy.server_port}/tools/?samc=http://127.0.0.1:{server.port}/")
        with Server(SAMC) as server:  # without it nobody's page may
            browser.go(f"http://{own}/tools/?samc=http://127.0.0.1:{server.port}/")
            browser.type("input", str(PHOTO))
            browser.wait("document.querySelector('#said').textContent == '...'", 300)
            wait_until(lambda: "blocked by CORS" in str(browser.log()), 300)
    proxy.shutdown()
    print("the example embeds: behind a proxy, from elsewhere")


main()
