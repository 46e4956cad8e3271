#!/usr/bin/env python3
"""`samc serve` and those who mean it ill, or only badly: who trickles, hangs up, sends too much or nonsense. It answers
others all the while, and afterwards holds nothing of it. Nothing here asks how long anything took.

    hostile_test.py SAMC ROOT [-k NAME]      SAMC_ROUNDS=50: the same again and again, with the memory after each round
"""

import base64
import http.client
import json
import os
import re
import resource
import select
import signal
import socket
import sys
import unittest
from pathlib import Path

from harness import Server, wait_until

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
PHOTO, TINY = ROOT / "tools/examples/coffee.jpg", ROOT / "tests/data/golden/tiny.safetensors"
ROUNDS = int(os.environ.get("SAMC_ROUNDS", "1"))
OCTETS = "Content-Type: application/octet-stream\r\n"


class Attacked(unittest.TestCase):
    patience, options = 3600, ("--connections", "160", "--waiting", "1M", "--max-body", "3M")

    def setUp(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        self.server = Server(SAMC, "--patience", str(self.patience), *self.options, model=TINY)
        self.made()
        self.image = self.server.upload(PHOTO)
        self.fds = self.open_files()

    def made(self):
        self.ask = self.server.ask

    def tearDown(self):
        """Whatever happened: it answers, holds nothing of it, and ends in good order."""
        self.assertEqual(self.ask("GET", "/health")[0], 200)
        wait_until(lambda: self.number("waiting_bytes") == 0 and self.number("waiting_pixel_bytes") == 0)
        wait_until(lambda: self.open_files() <= self.fds)
        self.assertEqual(self.ask("POST", f"/v1/images/{self.image}/predict", {"points": [[9, 9]]})[0], 200)
        self.assertEqual(self.server.stop(), 0)

    def open_files(self):
        return len(list(Path(f"/proc/{self.server.process.pid}/fd").iterdir()))

    def memory(self):
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def number(self, name):
        text = self.ask("GET", "/metrics")[2].decode()
        return int(re.search(rf"^samc_{re.escape(name)} (\d+)$", text, re.M).group(1))

    def unsent(self, s):
        """Bytes that the kernel holds for the server until this socket takes them; 0 where it does not tell."""
        table, ports = Path("/proc/net/tcp"), (self.server.port, s.getsockname()[1])
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            _, here, there, _, queues = line.split()[:5]
            if (int(here.split(":")[1], 16), int(there.split(":")[1], 16)) == ports:
                return int(queues.split(":")[0], 16)
        return 0

    def rounds(self):
        for i in range(ROUNDS):
            yield i
            if ROUNDS > 1:
                print(f"{self.id()} {i}: {self.memory()} kB, {self.open_files()} files", flush=True)

    def open(self, data=b""):
        s = socket.create_connection((self.server.host, self.server.port), timeout=120)
        try:
            s.sendall(data if isinstance(data, bytes) else data.encode("latin1"))
        except (ConnectionResetError, BrokenPipeError):  # it had read enough
            pass
        return s

    def said(self, data, waits=False):
        """All that is answered until the server hangs up. Who ends its side counts as gone, unless it waits."""
        with self.open(data) as s:
            got = b""
            try:
                if not waits:
                    s.shutdown(socket.SHUT_WR)
                while piece := s.recv(1 << 16):
                    got += piece
            except OSError:  # reset, or closed before all was sent
                pass
            return got

    def status(self, data, waits=False):
        got = self.said(data, waits)
        return int(got.split()[1]) if got else None

    def is_cut(self, sockets, more):
        """Whether all are closed by the server, though their ends go on sending (or reading, for nothing to send)."""
        for s in list(sockets):
            try:
                readable = select.select([s], [], [], 0)[0]
                if readable and s.recv(1 if not more else 4096) == b"":
                    raise ConnectionResetError
                if more:
                    s.sendall(more)
            except (ConnectionResetError, BrokenPipeError):
                s.close()
                sockets.remove(s)
        return not sockets


class Slow(Attacked):
    """Who trickles is cut off. So is who asks properly, if the machine lets nobody on for so long: it asks again."""

    patience = 2

    def made(self):
        once = self.server.ask

        def ask(*arguments, **more):
            while True:
                try:
                    return once(*arguments, **more)
                except (ConnectionError, http.client.HTTPException):
                    pass

        self.ask = self.server.ask = ask

    def test_heads_that_trickle(self):
        for _ in self.rounds():
            sockets = [self.open("GET /health HTTP/1.1\r\nX-Slow: "[: 1 + i % 34]) for i in range(60)]
            self.assertEqual(self.ask("GET", "/health")[0], 200)
            wait_until(lambda: self.is_cut(sockets, b"x"), every=0.2)

    def test_bodies_that_trickle(self):
        head = f"POST /v1/images HTTP/1.1\r\nHost: localhost\r\n{OCTETS}"
        for _ in self.rounds():
            sockets = [self.open(head + "Content-Length: 2000000\r\n\r\nx") for i in range(30)]
            pieces = [self.open(head + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n") for i in range(30)]
            refused = head.replace("images", "nothing") + "Content-Length: 9999\r\n\r\nx"
            sockets += [self.open(refused) for i in range(30)]
            self.assertEqual(self.ask("GET", "/health")[0], 200)
            wait_until(lambda: self.is_cut(sockets, b"x") & self.is_cut(pieces, b"1\r\nx\r\n"), every=0.2)

    def test_uploads_that_break_off(self):
        head = f"POST /v1/images HTTP/1.1\r\nHost: localhost\r\n{OCTETS}Content-Length: 2000000\r\n\r\n"
        for _ in self.rounds():
            for i in range(60):
                with self.open(head + "x" * (i * 1000)) as s:
                    if i % 2:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset


class Hostile(Attacked):
    """Where nobody is cut off for being slow: this program may be."""

    def test_more_connections_than_there_may_be(self):
        for _ in self.rounds():
            sockets = []
            for i in range(700):
                sockets.append(self.open(b"GET /health HTTP/1.1\r\n"[: i % 22]))
            self.assertEqual(self.ask("GET", "/health")[0], 200)
            for s in sockets:
                s.close()
        self.assertGreater(self.number("connections_shed_total"), 0)

    def test_an_upload_and_its_end_at_once(self):
        """The server finds both together: what was sent holds no room until patience ends."""
        head = f"POST /v1/images HTTP/1.1\r\nHost: localhost\r\n{OCTETS}Content-Length: 2000000\r\n\r\n"
        os.kill(self.server.process.pid, signal.SIGSTOP)
        for size in (0, 1000, 5000):
            self.open(head + "x" * size).close()
        os.kill(self.server.process.pid, signal.SIGCONT)
        wait_until(lambda: self.number("connections") == 1)  # which asks

    def test_answers_that_nobody_fetches(self):
        body = json.dumps({"points": [[300, 200]], "format": "counts"})
        ask = (
            f"POST /v1/images/{self.image}/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        for _ in self.rounds():
            sockets = [self.open(ask * 40) for _ in range(8)]  # more than lies between the two
            self.assertEqual(self.ask("GET", "/health")[0], 200)
            for s in sockets:
                s.close()

    def test_events_that_nobody_fetches(self):
        options = {"pred_iou_thresh": 0, "stability_score_thresh": 0, "box_nms_thresh": 1, "format": "counts"}
        body = json.dumps({"points_per_side": 10, **options})  # some 7 MB, of which the kernel takes no more than 1
        ask = (
            f"POST /v1/images/{self.image}/auto HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        for i in self.rounds():
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that most of it stays with the server
                s.connect((self.server.host, self.server.port))
                s.sendall(ask.encode())
                wait_until(lambda: self.number('seconds_count{stage="auto"}') == i + 1)  # all of it is made
                for _ in range(100):  # it goes on giving what the kernel takes
                    self.assertGreater(self.number("waiting_bytes"), 1 << 20)
                    self.assertLess(self.unsent(s), 1 << 20)
                self.assertEqual(self.ask("POST", "/v1/images", b"y" * 900000)[0], 503)
            wait_until(lambda: self.number("waiting_bytes") == 0)

    def test_requests_one_after_another_without_waiting(self):
        body = '{"points":[[300,200]]}'
        click = (
            f"POST /v1/images/{self.image}/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        for _ in self.rounds():
            last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            got = self.said(("GET /v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n" + click) * 10 + last, waits=True)
            self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", got), [b"200"] * 21)
            self.assertEqual(re.findall(rb'"(recipe|masks)":[\["]', got), [b"recipe", b"masks"] * 10)

    def test_chunks(self):
        photo = PHOTO.read_bytes()
        head = f"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{OCTETS}"
        head += "Transfer-Encoding: chunked\r\n\r\n"
        cut = [photo[i : i + 5000] for i in range(0, len(photo), 5000)]
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in cut)
        self.assertEqual(self.status(head.encode() + pieces + b"0\r\n\r\n", waits=True), 200, "known, though in pieces")
        large = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
        self.assertEqual(self.status(head.encode() + large * 4 + b"0\r\n\r\n"), 413, "more than is taken")
        for wrong in (b"-1\r\nx\r\n", b"zz\r\nx\r\n", b"ffffffffffffffffff\r\nx", b"5;a=b\r\nhelloX\r\n", b"\0\r\n"):
            self.assertNotEqual(self.status(head.encode() + wrong), 200, wrong)

    def test_heads_that_say_two_things(self):
        start, json_ = "POST /v1/images HTTP/1.1\r\nHost: localhost\r\n" + OCTETS, "Connection: close\r\n"
        for headers in (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: 3\r\nHost: evil.example\r\n", "Content-Length: -3\r\n", "Content-Length: 3x\r\n",
            "Content-Length: 99999999999999999999999999\r\n",
        ):  # fmt: skip
            self.assertIn(self.status(start + json_ + headers + "\r\nabc"), (400, 413, None), headers)
        self.assertIn(self.status("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"), (400, 421), "no host")

    def test_heads_that_are_too_long(self):
        for head in (
            "GET /" + "a" * 100000 + " HTTP/1.1\r\n", "GET / HTTP/1.1\r\nX: " + "a" * 100000,
            "GET / HTTP/1.1\r\n" + "X: a\r\n" * 20000, "G" * 100000, "GET / HTTP/1.1\r\n" + "\t" * 100000,
            "GET /health?" + "a=b&" * 20000 + " HTTP/1.1\r\n", "\0" * 1000, "\r\n" * 1000, "\x16\x03\x01\x02\0" * 99,
        ):  # fmt: skip
            self.assertNotEqual(self.status(head + "\r\nHost: localhost\r\n\r\n"), 200, head[:30])

    def test_paths(self):
        for path in (
            "/health%00", "/health%00x", "/%00health", "/health%", "/health%z", "/health%2", "/health%2g",
            "/..%2fhealth",
            "/%2e%2e/etc/passwd", "/page/%2e%2e%2fopenapi.json", "/page/..%5c..%5cx", "/page/%c0%ae%c0%ae/x",
            "/page//index.html", "//health", "/./health", "/v1/images/" + "a" * 500, "/v1/images/%2f", "/v1/images/",
            "/health/", "http://evil.example/health", "*", "/health;x", "/page/index.html%00.png", "/page/\xff\xfe",
            "/v1/images/" + "%41" * 64 + "0",
        ):  # fmt: skip
            got = self.said(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertNotIn(b" 200 OK", got[:20], path)
            self.assertNotIn(b" 500 ", got[:20], path)
        self.assertEqual(self.status("GET /%68ealth HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 200)

    def test_json(self):
        path = f"/v1/images/{self.image}/predict"
        many, deep = "[" + "[]," * 700000 + "[]]", "[" * 500000
        for text in (
            '{"points":' + many + "}", deep, '{"points":' * 100000, '{"points":[[1e999,2]]}',
            '{"points":[[1,' + "9" * 5000 + "]]}", '{"points":[[1,2]],"labels":[99999999999999999999]}',
            '{"a\\u0000b":1}', '{"points":[[1,2]],"format":"\\u0000"}', '{"points":[[1,2]],"points":[[1,2]]}',
            '{"format":"\\ud800"}', "\xff\xfe{\0}\0", '{"points":[[1,2]]}\0', "\xef\xbb\xbf{}",
            "{}{}", "nul", "-", '"' + "a" * 2000000, '{"mask_input":"' + "A" * 2000000 + '"}', "", " " * 100000,
        ):  # fmt: skip
            with self.subTest(text[:40]):
                code, _, answer = self.ask("POST", path, text.encode("latin1"), {"Content-Type": "application/json"})
                self.assertIn(code, (400, 413, 503))
                self.assertIn("error", answer)
        for _ in self.rounds():
            image = base64.b64encode(os.urandom(200000)).decode()  # parsed elsewhere, and then no image
            marks = [{"type": "point", "data": [1, 2], "label": 1}]
            body = {"model": "samc", "image": image, "params": {"marks": marks}}
            code, _, answer = self.ask("POST", "/v1/predict", body)
            self.assertEqual((code, answer["error"]["code"]), (200, "INVALID_IMAGE"), answer)

    def test_bodies_that_fill_the_room(self):
        head = f"POST /v1/images HTTP/1.1\r\nHost: localhost\r\n{OCTETS}Content-Length: 1000000\r\n\r\n"
        held = self.open(head + "x" * 500000)  # half of the room: answers to who asks for numbers have some too
        wait_until(lambda: self.number("waiting_bytes") == 1 << 19)
        code, headers, answer = self.ask("POST", "/v1/images", b"y" * 900000)
        self.assertEqual((code, headers["Retry-After"], "try again" in answer["error"]), (503, "1", True))
        held.close()
        wait_until(lambda: self.number("waiting_bytes") == 0)
        self.assertEqual(self.ask("POST", "/v1/images", b"y" * 400000)[0], 422, "it is no image, but was looked at")

    def test_clicks_go_on_without_the_process_that_decodes(self):
        with Server(SAMC, model=TINY) as server:
            image, pid = server.upload(PHOTO), server.process.pid
            (nursery,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            os.kill(int(nursery), signal.SIGKILL)
            wait_until(lambda: "State:\tZ" in Path(f"/proc/{nursery}/status").read_text())
            code, headers, _ = server.ask("POST", "/v1/images", b"P6 1 1 255\nabc")
            self.assertEqual((code, "Retry-After" in headers), (503, True))
            self.assertEqual(server.ask("GET", "/health")[0], 503, "so that whoever watches starts it anew")
            self.assertEqual(server.ask("POST", f"/v1/images/{image}/predict", {"points": [[9, 9]]})[0], 200)
            self.assertEqual(server.stop(), 0)


class Limits(unittest.TestCase):
    def test_connections_of_one_address(self):
        with Server(SAMC, "--client-connections", "3", "--patience", "3600", model=TINY) as server:
            kept = [server.connect() for _ in range(3)]
            for connection in kept:
                self.assertEqual(server.ask("GET", "/health", connection=connection)[0], 200)
            with socket.create_connection((server.host, server.port), timeout=120) as s:
                try:
                    self.assertEqual(s.recv(1), b"")
                except ConnectionResetError:
                    pass
            text = server.ask("GET", "/metrics", connection=kept[0])[2].decode()
            self.assertIn("samc_connections 3\n", text)
            self.assertIn("samc_connections_shed_total 1\n", text)
            for connection in kept:
                connection.close()

    def test_requests_of_one_address(self):
        with Server(SAMC, "--client-requests", "1", "--patience", "3600") as server:
            image, waits, other = server.upload(PHOTO), server.connect(), server.connect()
            body = json.dumps({"points_per_side": 128})
            waits.request("POST", f"/v1/images/{image}/auto", body, {"Content-Type": "application/json"})
            wait_until(lambda: b'samc_waiting{stage="auto"} 1' in server.ask("GET", "/metrics", connection=other)[2])
            click = lambda: server.ask("POST", f"/v1/images/{image}/predict", {"points": [[9, 9]]}, connection=other)
            code, headers, answer = click()
            self.assertEqual((code, headers["Retry-After"], "of this client" in answer["error"]), (503, "1", True))
            waits.close()
            wait_until(lambda: click()[0] == 200)
            other.close()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
