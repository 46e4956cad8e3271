#!/usr/bin/env python3
"""`samc serve` under load, beside a minimal FastAPI server over segment_anything.

    serve_load.py clicks --samc SAMC [--model FILE] [--peer CHECKPOINT.pth] [--clients 1,8,64] [--seconds 10]
    serve_load.py during --samc SAMC [--model FILE] [--clicks 100]
    serve_load.py mixed  --samc SAMC [--model FILE] [--minutes 20]

clicks   each client asks for three masks of a point, again and again: clicks a second, p50 and p99 of the time to the
         answer, and the server's processor milliseconds a click, which other work on the machine changes least.
         --peer: the same of bench/serve_peer.py on that checkpoint (its Python: --peer-python), one after the other
during   p50 and p95 of clicks while every mask of the image is made
mixed    uploads, clicks, automatic masks and what breaks off, with the server's memory and files every half minute
"""

import argparse
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "serve"))
from harness import Server, wait_until

PHOTO = ROOT / "tools/examples/coffee.jpg"
TICKS = os.sysconf("SC_CLK_TCK")


class Peer:
    def __init__(self, python, checkpoint, threads):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.host, self.port = s.getsockname()
        command = [python, ROOT / "bench/serve_peer.py", checkpoint, str(self.port), str(threads)]
        self.process = subprocess.Popen(command)
        wait_until(self.listens, seconds=300, every=0.5)

    def listens(self):
        try:
            socket.create_connection((self.host, self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    connect, ask, upload = Server.connect, Server.ask, Server.upload

    def stop(self):
        self.process.terminate()
        self.process.wait()


def processor(server):
    """Seconds of the server and of what it started and ended."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def memory(server):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text()).group(1)) / 1024


def at(times, share):
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def click(server, connection, image, where):
    began = time.monotonic()
    status, _, answer = server.ask("POST", f"/v1/images/{image}/predict", {"points": [where]}, connection=connection)
    assert status == 200 and len(answer["masks"]) == 3, answer
    return 1000 * (time.monotonic() - began)


def clicks(server, image, clients, seconds):
    times, until = [], time.monotonic() + seconds

    def one(seed):
        connection, where = server.connect(), random.Random(seed)
        while time.monotonic() < until:
            times.append(click(server, connection, image, [where.randrange(600), where.randrange(400)]))
        connection.close()

    began, used = time.monotonic(), processor(server)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, used = time.monotonic() - began, processor(server) - used
    return len(times) / wall, at(times, 0.5), at(times, 0.99), 1000 * used / len(times)


def table(name, server, options):
    image = server.upload(PHOTO)
    click(server, server.connect(), image, [300, 200])
    for clients in options.clients:
        rate, median, most, used = clicks(server, image, clients, options.seconds)
        print(f"| {name} | {clients} | {rate:.1f} | {median:.0f} | {most:.0f} | {used:.1f} |", flush=True)
    server.stop()


def do_clicks(options):
    print(f"load {os.getloadavg()[0]:.1f}\n")
    print("| server | clients | clicks a second | p50 ms | p99 ms | processor ms a click |")
    print("|---|---|---|---|---|---|")
    table("samc serve", Server(options.samc, model=options.model), options)
    if options.peer:
        table("FastAPI, segment_anything", Peer(options.peer_python, options.peer, options.threads), options)


def do_during(options):
    server = Server(options.samc, model=options.model)
    image, done = server.upload(PHOTO), threading.Event()
    connection = server.connect()
    alone = [click(server, connection, image, [9 * i % 600, 7 * i % 400]) for i in range(options.clicks)]

    def automatic():
        while not done.is_set():
            assert server.ask("POST", f"/v1/images/{image}/auto", {"points_per_side": 32})[0] == 200

    thread = threading.Thread(target=automatic)
    thread.start()
    wait_until(lambda: b'samc_waiting{stage="auto"} 1' in server.ask("GET", "/metrics")[2])
    times = []
    for i in range(options.clicks):
        times.append(click(server, connection, image, [9 * i % 600, 7 * i % 400]))
        time.sleep(0.05)
    done.set()
    thread.join()
    for name, each in (("alone", alone), ("while every mask is made", times)):
        print(f"{name}: p50 {at(each, 0.5):.0f} ms, p95 {at(each, 0.95):.0f} ms, at most {max(each):.0f} ms")
    print(f"load {os.getloadavg()[0]:.1f}")
    server.stop()


def ppm(seed):
    """An image that was never sent before: stripes, 600 x 400."""
    row = random.Random(seed).randbytes(3 * 600)
    return b"P6 600 400 255\n" + row * 400


def do_mixed(options):
    server, until, count = (
        Server(options.samc, "--cache", "64M", model=options.model),
        time.monotonic() + 60 * options.minutes,
        {},
    )
    kept = server.upload(PHOTO)

    def again(name, work):
        def run():
            step = 0
            while time.monotonic() < until:
                status = work(step)
                key = f"{name} {status}"
                count[key] = count.get(key, 0) + 1
                step += 1

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def uploads(step):
        return server.ask("POST", "/v1/images", ppm(step))[0]

    def one_click(step):
        status, _, answer = server.ask("POST", f"/v1/images/{kept}/predict", {"points": [[step % 600, step % 400]]})
        if status == 404:  # it had to leave
            server.upload(PHOTO)
        return status

    def automatic(step):
        return server.ask("POST", f"/v1/images/{kept}/auto", {"points_per_side": 8})[0]

    def hung_up(step):
        """An event stream, left after the first event; an upload that breaks off; a head that never ends."""
        body = b'{"points_per_side": 32}'
        with socket.create_connection((server.host, server.port), timeout=120) as s:
            if step % 3 == 0:
                s.sendall(
                    f"POST /v1/images/{kept}/auto HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )
                s.recv(100)
            elif step % 3 == 1:
                s.sendall(
                    b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
                    b"Content-Length: 1000000\r\n\r\n" + b"x" * (step * 1000 % 999999)
                )
            else:
                s.sendall(b"GET / HTTP/1.1\r\nX: ")
            if step % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.2)
        return "done"

    work = [
        ("upload", uploads),
        ("click", one_click),
        ("click", one_click),
        ("automatic", automatic),
        ("hung up", hung_up),
    ]
    threads, sizes, began = [again(*each) for each in work], [], time.monotonic()
    while time.monotonic() < until:
        time.sleep(min(30, max(0.1, until - time.monotonic())))
        files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        sizes.append(memory(server))
        print(f"{(time.monotonic() - began) / 60:5.1f} min: {sizes[-1]:.0f} MB, {files} files, {count}", flush=True)
    for thread in threads:
        thread.join()
    half = sizes[len(sizes) // 2 :]
    print(
        f"second half: {min(half):.0f} to {max(half):.0f} MB; ended with {server.stop()}; load {os.getloadavg()[0]:.1f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("clicks", "during", "mixed"))
    parser.add_argument("--samc", required=True)
    parser.add_argument("--model")
    parser.add_argument("--peer")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--clients", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    {"clicks": do_clicks, "during": do_during, "mixed": do_mixed}[options.what](options)


if __name__ == "__main__":
    main()
