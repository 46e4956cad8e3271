#!/usr/bin/env python3
"""`samc serve --cache-dir`: embeddings that outlive the server.

disk_test.py SAMC ROOT [-k NAME]
"""

import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from harness import Server

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
PHOTO, GOLDEN = ROOT / "tools/examples/coffee.jpg", ROOT / "tests/data"
TINY, LEVELS = GOLDEN / "golden/tiny.safetensors", GOLDEN / "golden_hq/tiny.safetensors"
CLICK = {"points": [[300, 200]]}


def ppm(i):
    return b"P6 200 200 255\n" + bytes([i, 90, 9]) * 40000


class Disk(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name) / "cache"

    def tearDown(self):
        self.temporary.cleanup()

    def serve(self, *options, model=TINY):
        return Server(SAMC, "--cache-dir", str(self.folder), *options, model=model)

    def number(self, server, name):
        return int(re.search(rf"^samc_{name} (\d+)$", server.ask("GET", "/metrics")[2].decode(), re.M).group(1))

    def masks(self, server, image):
        status, _, answer = server.ask("POST", f"/v1/images/{image}/predict", CLICK)
        self.assertEqual(status, 200, answer)
        return [m["segmentation"] for m in answer["masks"]]

    def files(self):
        return sorted(self.folder.glob("*.emb"))

    def test_a_restart_finds_them(self):
        for model in (TINY, LEVELS):
            with self.serve(model=model) as server:
                image = server.upload(PHOTO)
                expected = self.masks(server, image)
                self.assertEqual(self.number(server, "disk_writes_total"), 1)
            with self.serve(model=model) as server:
                self.assertEqual(
                    server.ask("GET", f"/v1/images/{image}")[2], {"id": image, "width": 600, "height": 400}
                )
                self.assertEqual(self.masks(server, image), expected)
                self.assertEqual(server.ask("POST", f"/v1/images/{image}/auto", {"points_per_side": 2})[0], 409)
                self.assertEqual(self.number(server, "disk_hits_total"), 1, "then it is in memory")
                self.assertEqual(server.ask("POST", "/v1/images", PHOTO.read_bytes())[0], 201, "now with its pixels")
                self.assertEqual(server.ask("POST", f"/v1/images/{image}/auto", {"points_per_side": 2})[0], 200)
                self.assertEqual(self.masks(server, image), expected)
                self.assertEqual(self.number(server, "images_encoded_total"), 0)
            with self.serve(model=model) as server:
                self.assertEqual(server.upload(PHOTO), image)
                self.assertEqual(self.masks(server, image), expected)
                self.assertEqual(self.number(server, "images_encoded_total"), 0)
                self.assertEqual(server.ask("GET", f"/v1/images/{'0' * 64}")[0], 404)
        self.assertEqual(len(self.files()), 2, "each model its own")

    def test_it_is_for_this_user_alone(self):
        with self.serve() as server:
            server.upload(PHOTO)
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)
        (file,) = self.files()
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.folder.chmod(0o755)
        command = [SAMC, "serve", "--port", "0", "--model", TINY, "--cache-dir"]
        for folder, word in ((self.folder, "this user alone"), (file, str(file)), (self.folder / "a/b", "a/b")):
            done = subprocess.run([*command, folder], capture_output=True, text=True, timeout=300)
            self.assertEqual((done.returncode, word in done.stderr), (1, True), done.stderr)

    def test_damaged_files_are_dropped(self):
        with self.serve() as server:
            image = server.upload(PHOTO)
            expected = self.masks(server, image)
        (file,) = self.files()
        whole, target = file.read_bytes(), Path(self.temporary.name) / "target"
        target.write_bytes(whole)

        def flipped(at):
            return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]

        damages = [flipped(at) for at in (0, 9, 12, 17, 30, 60, len(whole) // 2, len(whole) - 1)]
        for damage in [*damages, whole[:-1], whole + b"x", whole[:20], b"", "link"]:
            file.unlink(missing_ok=True)
            if damage == "link":
                file.symlink_to(target)
            else:
                file.write_bytes(damage)
            with self.serve() as server:
                self.assertEqual(server.ask("POST", f"/v1/images/{image}/predict", CLICK)[0], 404)
                self.assertFalse(file.exists())
                self.assertEqual(self.number(server, "disk_damaged_total"), 1)
                self.assertEqual(server.upload(PHOTO), image)
                self.assertEqual(self.masks(server, image), expected)
            self.assertEqual(file.read_bytes(), whole, "written anew, the same")
        self.assertEqual(target.read_bytes(), whole)

    def test_another_images_file_is_not_taken(self):
        with self.serve() as server:
            ids = [server.ask("POST", "/v1/images", ppm(i))[2]["id"] for i in range(2)]
        files = {file.stem.split("-")[1]: file for file in self.files()}
        files[ids[0]].write_bytes(files[ids[1]].read_bytes())
        with self.serve() as server:
            self.assertEqual(server.ask("GET", f"/v1/images/{ids[0]}")[0], 404)
            self.assertEqual(server.ask("GET", f"/v1/images/{ids[1]}")[0], 200)

    def test_the_least_recently_used_leave(self):
        with self.serve() as server:
            ids = [server.ask("POST", "/v1/images", ppm(i))[2]["id"] for i in range(5)]
        for age, image in enumerate(ids):  # by hand, as clocks of file systems are coarse
            (file,) = self.folder.glob(f"*{image}*")
            os.utime(file, (1000 + age, 1000 + age))
        each = self.files()[0].stat().st_size
        old, new, foreign = self.folder / "writing-1-1", self.folder / "writing-1-2", self.folder / "notes.txt"
        for path in (old, new, foreign):
            path.write_text("x")
        os.utime(old, (1000, 1000))
        os.utime(foreign, (1000, 1000))
        with self.serve("--cache-disk", str(4 * each)) as server:
            self.assertEqual(server.ask("GET", f"/v1/images/{ids[0]}")[0], 200, "used now")
            last = server.ask("POST", "/v1/images", ppm(9))[2]["id"]
        kept = {file.stem.split("-")[1] for file in self.files()}
        self.assertEqual(kept, {ids[0], ids[3], ids[4], last})
        self.assertEqual([path.exists() for path in (old, new, foreign)], [False, True, True])
        with self.serve("--cache-disk", str(each - 1)) as server:
            server.ask("POST", "/v1/images", ppm(77))
            self.assertEqual(self.number(server, "disk_writes_total"), 0, "one alone would not fit")

    def test_names_that_another_server_writes_under(self):
        with self.serve() as server:  # whose process has the same number in another container
            for i in range(3):
                (self.folder / f"writing-{server.process.pid}-{i}").write_text("x")
            server.upload(PHOTO)
            self.assertEqual((len(self.files()), self.number(server, "disk_failures_total")), (1, 0))
        self.assertEqual(len(list(self.folder.glob("writing-*"))), 3)

    def test_forgetting_reaches_the_disk(self):
        with self.serve() as server:
            image = server.upload(PHOTO)
            self.assertEqual(server.ask("DELETE", f"/v1/images/{image}")[0], 200)
            self.assertEqual(self.files(), [])
            self.assertEqual(server.ask("GET", f"/v1/images/{image}")[0], 404)
        with self.serve() as server:
            server.upload(PHOTO)
        with self.serve() as server:
            self.assertEqual(server.ask("DELETE", f"/v1/images/{image}")[0], 200, "though it was never in memory")
            self.assertEqual((self.files(), server.ask("DELETE", f"/v1/images/{image}")[0]), ([], 404))

    def test_several_servers_share_it(self):
        servers, wrong = [self.serve("--cache", "100K", "--cache-disk", "1M") for _ in range(3)], []

        def use(server, seed):
            for i in range(24):
                status, _, answer = server.ask("POST", "/v1/images", ppm((7 * i + seed) % 12))
                click = server.ask("POST", f"/v1/images/{answer['id']}/predict", {"points": [[9, 9]]})
                if status not in (200, 201) or click[0] not in (200, 404):  # 404: it had to leave
                    wrong.append((status, click))

        threads = [threading.Thread(target=use, args=(servers[i % 3], i)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        for server in servers:
            self.assertEqual(self.number(server, "disk_failures_total"), 0)
            self.assertEqual(self.number(server, "disk_damaged_total"), 0)
            self.assertEqual(server.stop(), 0)
        self.assertEqual([p.name for p in self.folder.iterdir() if not p.name.endswith(".emb")], [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
