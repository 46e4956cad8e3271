#!/usr/bin/env python3
"""The page in WebKit (Debian's webkit2gtk-driver, in Xvfb): it opens, a photograph is dropped, clicked on and exported,
and the mask is the command line's.

    page_webkit.py SAMC ROOT [SCREENSHOTS]
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error

import page_test
from harness import Server
from webdriver import Browser

FOLDER = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1"


class WebKit(Browser):
    """As Browser: MiniBrowser on a screen of its own."""

    def __init__(self, width=1400, height=900):
        self.folder = tempfile.TemporaryDirectory()
        read, write = os.pipe()
        self.screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as file:
            display = file.readline().strip()
        self.environment = {**os.environ, "DISPLAY": f":{display}", "HOME": self.folder.name, "GDK_BACKEND": "x11"}
        self.environment |= {"LIBGL_ALWAYS_SOFTWARE": "1", "NO_AT_BRIDGE": "1"}
        self.start_driver()
        options = {"binary": f"{FOLDER}/MiniBrowser", "args": ["--automation", f"--geometry={width}x{height}"]}
        wanted = {"browserName": "MiniBrowser", "webkitgtk:browserOptions": options}
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}}, root=True)
        self.session = answer["sessionId"]

    def start_driver(self):
        """It takes no port 0; another program may take the one that was free, then it is another one's turn."""
        while True:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
            self.driver = subprocess.Popen(
                ["WebKitWebDriver", "--host=127.0.0.1", f"--port={self.port}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self.environment,
            )
            while self.driver.poll() is None:
                try:
                    if self.call("GET", "/status", root=True)["ready"]:
                        return
                except (urllib.error.URLError, OSError):
                    time.sleep(0.1)
            self.driver.stdout.close()

    def close(self):
        try:
            super().close()
        finally:
            self.screen.terminate()
            self.screen.wait()


DROP = """return fetch('page/coffee.jpg').then((r) => r.blob()).then((blob) => {
    const data = new DataTransfer();
    data.items.add(new File([blob], 'coffee.jpg', { type: 'image/jpeg' }));
    const event = new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true });
    document.getElementById('stage').dispatchEvent(event);
    const own = URL.createObjectURL;
    window.made = [];
    URL.createObjectURL = (blob) => (made.push(blob), own.call(URL, blob));
    return data.files.length;
})"""


def main():
    with Server(page_test.SAMC) as server, WebKit() as browser:
        browser.go(f"http://127.0.0.1:{server.port}/")
        browser.wait("document.getElementById('about').textContent !== ''")
        assert browser.promised(DROP) == 1
        browser.wait("document.getElementById('empty').hidden && document.getElementById('busy').hidden")
        page = page_test.Page(browser, page_test.screenshots())
        page.click(300, 200)
        browser.wait("document.querySelectorAll('#choices button').length === 3")
        page.shot("webkit")
        x, y = page_test.same_place(page, 300, 200)
        expected = max(page_test.cli("--point", f"{x},{y}"), key=lambda m: m["predicted_iou"])
        browser.click("#keep")
        browser.wait("document.querySelectorAll('#objects li').length === 1")
        browser.click("[data-export=rle]")
        browser.wait("made.length === 1")
        (object_,) = json.loads(browser.promised("return made[0].text()"))
        iou = page_test.near(object_["segmentation"]["counts"], expected["rle"]["counts"])
        assert iou > 0.999, f"the page's mask is not the command line's: IoU {iou}"
        browser.click("[data-export=cutout]")
        browser.wait("made.length === 2 && made[1].size > 1000 && made[1].type === 'image/png'")
    print("the page works in WebKit")


if __name__ == "__main__":
    sys.exit(main())
