"""What the tests of `samc serve` share: a server of its own on a free port, and HTTP."""

import http.client
import json
import re
import subprocess
import time
from pathlib import Path


class Server:
    """`samc serve`, started; a context that ends it, politely."""

    def __init__(self, samc, *options, model=None):
        command = [str(samc), "serve", "--port", "0", *options] + (["--model", str(model)] if model else [])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.notes = []  # what it said before
        while True:
            line = self.process.stderr.readline()
            said = re.match(r"http://(.+):(\d+)/", line)
            if said:
                break
            self.notes.append(line)
            if not line:
                raise RuntimeError(f"the server did not start: exit code {self.process.wait()}")
        self.host, self.port = said.group(1).strip("[]"), int(said.group(2))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(timeout=300)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def connect(self, timeout=120):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, connection=None):
        """(status, headers, body): JSON where it is that, else bytes."""
        own = connection or self.connect()
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        elif body is not None:
            headers.setdefault("Content-Type", "application/octet-stream")
        own.request(method, path, body, headers)
        response = own.getresponse()
        content = response.read()
        if connection is None:
            own.close()
        kind = response.getheader("Content-Type", "")
        return response.status, response.headers, json.loads(content) if kind == "application/json" else content

    def upload(self, path):
        status, _, answer = self.ask("POST", "/v1/images", Path(path).read_bytes())
        assert status in (200, 201), answer
        return answer["id"]


def wait_until(true, seconds=300, every=0.02):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(every)
