#!/usr/bin/env python3
"""`samc serve DIR` by its interface: what is listed and what is not, what is saved and how, what of others' work stays.

    folder_test.py SAMC ROOT [-k NAME]
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from harness import Server, wait_until
from page_folder import area_and_box, foreign

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
PHOTO, TINY = ROOT / "tools/examples/coffee.jpg", ROOT / "tests/data/golden/tiny.safetensors"
# A mask of 600 x 400: the rows 3 and 4 of the columns 1 and 2.
MASK = {"size": [400, 600], "counts": [403, 2, 398, 2, 239195]}


def string(counts):
    """pycocotools' string."""
    text = ""
    for i, count in enumerate(counts):
        rest = count - counts[i - 2] if i > 2 else count
        while True:
            digit = rest & 31
            rest >>= 5
            more = rest != -1 if digit & 16 else rest != 0
            text += chr((digit | 32 if more else digit) + 48)
            if not more:
                break
    return text


MASK["counts"] = string(MASK["counts"])


class Folder(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.root = Path(self.temporary.name) / "images"
        (self.root / "sub").mkdir(parents=True)
        (self.root / "a.jpg").write_bytes(PHOTO.read_bytes())
        (self.root / "sub/b.bmp").write_bytes((ROOT / "tests/data/images/bmp_32.bmp").read_bytes())
        self.file = self.root / "annotations.coco.json"

    def serve(self, *options, file=None):
        server = Server(SAMC, self.root, *options, model=TINY)
        self.addCleanup(server.stop)
        self.ids = {i["name"]: i["id"] for i in server.ask("GET", "/v1/folder")[2]["images"]}
        return server

    def path(self, name):
        return f"/v1/folder/images/{self.ids[name]}/annotations"

    def put(self, server, name, objects, etag=None, done=False):
        if etag is None:
            etag = server.ask("GET", self.path(name))[1]["ETag"]
        body = {"width": 600, "height": 400, "done": done, "objects": objects}
        return server.ask("PUT", self.path(name), body, {"If-Match": etag})

    def data(self):
        return json.loads(self.file.read_text())

    def test_lists_what_it_may(self):
        secret = Path(self.temporary.name) / "secret.jpg"
        secret.write_bytes(PHOTO.read_bytes())
        (Path(self.temporary.name) / "out").mkdir()
        (Path(self.temporary.name) / "out/c.jpg").write_bytes(PHOTO.read_bytes())
        os.symlink(secret, self.root / "link.jpg")
        os.symlink("../out", self.root / "folder")
        os.symlink("a.jpg", self.root / "inside.jpg")
        os.symlink("nowhere.jpg", self.root / "dangling.jpg")
        (self.root / ".hidden.jpg").write_bytes(b"x")
        (self.root / "notes.txt").write_bytes(b"x")
        os.mkfifo(self.root / "pipe.png")
        server = self.serve()
        self.assertEqual(sorted(self.ids), ["a.jpg", "dangling.jpg", "inside.jpg", "pipe.png", "sub/b.bmp"])
        image = "/v1/folder/images/" + self.ids["a.jpg"]
        self.assertEqual(server.ask("GET", image + "/file")[2], PHOTO.read_bytes())
        status, _, answer = server.ask("POST", image, {})
        self.assertEqual((status, answer["width"], answer["height"]), (201, 600, 400))
        self.assertEqual(server.ask("POST", image, {})[0], 200)
        for name in ("dangling.jpg", "pipe.png"):
            for method, more, body in (("GET", "/file", None), ("POST", "", {})):
                status, _, answer = server.ask(method, f"/v1/folder/images/{self.ids[name]}{more}", body)
                self.assertEqual((status, name in answer["error"]), (422, True), answer)
        # A link that came later leads out as little as one that was there.
        (self.root / "a.jpg").unlink()
        os.symlink(secret, self.root / "a.jpg")
        status, _, answer = server.ask("GET", image + "/file")
        self.assertEqual((status, "out of the folder" in answer["error"]), (422, True), answer)
        (self.root / "sub/b.bmp").unlink()
        (self.root / "sub").rmdir()
        os.symlink("../out", self.root / "sub")
        (Path(self.temporary.name) / "out/b.bmp").write_bytes(b"secret")
        self.assertEqual(server.ask("GET", f"/v1/folder/images/{self.ids['sub/b.bmp']}/file")[0], 422)
        for wrong in ("0" * 16, "a.jpg", "..%2f..%2fetc%2fpasswd", "%2e%2e", ""):
            for more in ("", "/file", "/annotations"):
                self.assertEqual(server.ask("GET", f"/v1/folder/images/{wrong}{more}")[0] in (404, 405), True, wrong)

    def test_saves_as_pycocotools_measures(self):
        server = self.serve("--classes", "cup,spoon")
        self.assertFalse(self.file.exists(), "there is nothing to save yet")
        status, headers, answer = self.put(server, "a.jpg", [{"uid": "u", "class": "spoon", "segmentation": MASK}])
        self.assertEqual((status, answer["ids"]), (200, [1]), answer)
        (annotation,) = self.data()["annotations"]
        self.assertEqual((annotation["area"], annotation["bbox"]), (4, [1, 3, 2, 2]))
        self.assertEqual((annotation["area"], annotation["bbox"]), area_and_box(MASK))
        self.assertEqual((annotation["category_id"], annotation["segmentation"]), (2, MASK))
        self.assertEqual(self.data()["images"], [{"id": 1, "file_name": "a.jpg", "width": 600, "height": 400}])
        states = {i["name"]: (i["state"], i["annotations"]) for i in server.ask("GET", "/v1/folder")[2]["images"]}
        self.assertEqual(states, {"a.jpg": ("begun", 1), "sub/b.bmp": ("untouched", 0)})
        # The same again, by who did not hear that it was saved, is the same object.
        again = {"uid": "u", "class": "spoon", "segmentation": MASK}
        self.assertEqual(self.put(server, "a.jpg", [again], headers["ETag"])[2]["ids"], [1])
        self.assertEqual(self.put(server, "a.jpg", [{"id": 1, "class": "cup"}], done=True)[0], 200)
        self.assertEqual([a["category_id"] for a in self.data()["annotations"]], [1])
        self.assertEqual(server.ask("GET", "/v1/folder")[2]["images"][0]["state"], "done")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(list(self.root.glob(".samc*")), [], "files are left")
        server = self.serve()
        self.assertEqual(server.ask("GET", self.path("a.jpg"))[2]["objects"][0]["class"], "cup")

    def test_what_is_wrong_changes_nothing(self):
        server = self.serve("--classes", "cup")
        self.assertEqual(self.put(server, "a.jpg", [{"uid": "u", "class": "cup", "segmentation": MASK}])[0], 200)
        before, (_, headers, _) = self.file.read_bytes(), server.ask("GET", self.path("a.jpg"))
        new = {"class": "cup", "segmentation": MASK}
        for objects in (
            [{"class": "cup"}],
            [{"id": 2, "class": "cup"}],
            [{"id": 1, "class": "cup"}, {"id": 1, "class": "cup"}],
            [{"id": 1, "class": "cup"}, {"uid": "u", "class": "cup"}],
            [{"id": 1}],
            [{"id": 1, "class": ""}],
            [{"id": 1, "class": "two\nlines"}],
            [{**new, "segmentation": {"size": [600, 400], "counts": MASK["counts"]}}],
            [{**new, "segmentation": {"size": [400, 600], "counts": "0"}}],
            [{**new, "segmentation": [[1, 2, 3, 4, 5, 6]]}],
            [{**new, "more": 1}],
            [{**new, "score": "much"}],
            [{**new, "uid": 5}],
            ["text"],
        ):
            self.assertEqual(self.put(server, "a.jpg", objects, headers["ETag"])[0], 400, objects)
        body = {"width": 600, "height": 400, "done": False, "objects": [new]}
        for wrong in ({"width": 0}, {"height": 1 << 21}, {"done": 1}, {"objects": {}}, {"more": 1}):
            request = server.ask("PUT", self.path("a.jpg"), {**body, **wrong}, {"If-Match": headers["ETag"]})
            self.assertEqual(request[0], 400, wrong)
        self.assertEqual(server.ask("PUT", self.path("a.jpg"), body)[0], 428)
        self.assertEqual(server.ask("PUT", self.path("a.jpg"), body, {"If-Match": '"0"'})[0], 428)
        self.assertEqual(server.ask("PUT", self.path("a.jpg"), body, {"If-Match": f'"{"0" * 16}"'})[0], 412)
        self.assertEqual(self.file.read_bytes(), before)

    def test_others_work_stays(self):
        self.file.write_text(json.dumps(foreign()))
        server = self.serve("--classes", "cup,spoon")
        _, headers, there = server.ask("GET", self.path("a.jpg"))
        self.assertEqual((there["objects"][0]["id"], there["objects"][0]["class"]), (31, "cup"))
        new = {"uid": "n", "class": "spoon", "segmentation": MASK}
        self.assertEqual(self.put(server, "a.jpg", [{"id": 31, "class": "spoon"}, new])[2]["ids"], [31, 32])
        before, after = foreign(), self.data()
        before["annotations"][1]["category_id"] = 6
        self.assertEqual(after["annotations"][:2], before["annotations"])
        text = self.file.read_text()  # numbers look as they did
        for entry in before["annotations"]:
            self.assertIn(json.dumps(entry, ensure_ascii=False), text)
        self.assertEqual(after["categories"], [before["categories"][0], {"id": 6, "name": "spoon"}])
        self.assertEqual((after["info"], after["licenses"], after["images"]), (before["info"], [], before["images"]))
        # Two of them at a time: who comes later is told, and nothing is lost.
        self.assertEqual(self.put(server, "a.jpg", [], headers["ETag"])[0], 412)
        # Another program writes the file while we run; its work is seen, and what was read before is old then.
        _, headers, _ = server.ask("GET", self.path("a.jpg"))
        after["annotations"][2]["category_id"] = 5
        after["note"] = "by hand"
        self.file.write_text(json.dumps(after))
        self.assertEqual(self.put(server, "a.jpg", [], headers["ETag"])[0], 412)
        self.assertEqual(self.put(server, "a.jpg", [{"id": 32, "class": "cup"}])[0], 200)
        self.assertEqual(self.data()["note"], "by hand")
        self.assertEqual([a["id"] for a in self.data()["annotations"]], [30, 32])
        # What it makes of it may be no COCO: then nothing is read and nothing is overwritten.
        self.file.write_text("{")
        self.assertEqual(self.put(server, "a.jpg", [], headers["ETag"])[0], 422)
        self.assertEqual(self.file.read_text(), "{")

    def test_classes(self):
        server = self.serve("--classes", "cup,spoon")
        self.put(server, "a.jpg", [{"uid": "u", "class": "spoon", "segmentation": MASK}])
        _, headers, answer = server.ask("GET", "/v1/folder/classes")
        self.assertEqual(answer["classes"], [{"id": 1, "name": "cup"}, {"id": 2, "name": "spoon"}])

        def put(classes, etag=headers["ETag"]):
            return server.ask("PUT", "/v1/folder/classes", {"classes": classes}, {"If-Match": etag})

        self.assertEqual(put([{"id": 1, "name": "cup"}])[0], 409, "it is used")
        for wrong in ([{"name": ""}], [{"id": 9, "name": "x"}], [{"name": "x"}, {"name": "x"}], "x"):
            self.assertEqual(put(wrong)[0], 400, wrong)
        _, _, before = server.ask("GET", self.path("a.jpg"))
        status, _, answer = put([{"id": 2, "name": "ladle"}, {"name": "fork"}])
        self.assertEqual((status, answer["classes"]), (200, [{"id": 2, "name": "ladle"}, {"id": 3, "name": "fork"}]))
        self.assertEqual(put([])[0], 412, "it is another list now")
        _, _, after = server.ask("GET", self.path("a.jpg"))
        self.assertEqual(after["objects"][0]["class"], "ladle")
        self.assertNotEqual(before["etag"], after["etag"], "who knows the old name has to look again")

    def test_what_is_no_coco_is_refused(self):
        image = {"id": 1, "file_name": "x"}
        for text, part in (
            ("", "not COCO"),
            ("[]", "not an object"),
            ('{"a": 1}', "no 'images' and 'annotations'"),
            (json.dumps({"images": {}, "annotations": []}), "'images' is not a list"),
            (json.dumps({"images": [{"id": "1", "file_name": "x"}], "annotations": []}), "images[0] has no 'id'"),
            (json.dumps({"images": [{"id": 1}], "annotations": []}), "images[0] has no 'file_name'"),
            (json.dumps({"images": [image, image], "annotations": []}), "two of 'images' have the id 1"),
            (json.dumps({"images": [image], "annotations": [{"id": 1}]}), "annotations[0] has no 'image_id'"),
            (json.dumps({"images": [], "annotations": [], "categories": [{"id": 1}]}), "categories[0] has no 'name'"),
        ):
            self.file.write_text(text)
            command = [SAMC, "serve", self.root, "--port", "0", "--model", TINY]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(done.returncode, 1, text)
            self.assertIn(part, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertEqual(self.file.read_text(), text)
        for arguments in (["nowhere"], [PHOTO], ["--classes", "a"], ["--annotations", "x"], [self.root, self.root]):
            done = subprocess.run([SAMC, "serve", *arguments, "--port", "0"], capture_output=True, text=True)
            self.assertIn(done.returncode, (1, 2), arguments)

    def test_where_nothing_can_be_saved(self):
        server = self.serve("--annotations", "/proc/annotations.json")
        self.assertFalse(server.ask("GET", "/v1/folder")[2]["writable"])
        self.assertTrue(any("nothing is saved" in line for line in server.notes), server.notes)
        status, _, answer = self.put(server, "a.jpg", [{"uid": "u", "class": "x", "segmentation": MASK}])
        self.assertEqual((status, "cannot be saved" in answer["error"]), (403, True))

    def test_another_folder_with_the_same_names(self):
        """A page that was left open when another folder came to its address saves nothing there."""
        server = self.serve()
        first, key = self.ids, server.ask("GET", "/v1/folder")[2]["key"]
        etag, path = server.ask("GET", self.path("a.jpg"))[1]["ETag"], self.path("a.jpg")
        other = Path(self.temporary.name) / "other"
        other.mkdir()
        (other / "a.jpg").write_bytes(PHOTO.read_bytes())
        with Server(SAMC, other, model=TINY) as server:
            body = {"width": 600, "height": 400, "done": True, "objects": []}
            self.assertEqual(server.ask("PUT", path, body, {"If-Match": etag})[0], 404)
            self.assertNotEqual(server.ask("GET", "/v1/folder")[2]["key"], key)
        self.assertEqual([p.name for p in other.iterdir()], ["a.jpg"])
        with Server(SAMC, os.path.relpath(self.root), "--annotations", self.file, model=TINY) as server:
            listing = server.ask("GET", "/v1/folder")[2]
            self.assertEqual(listing["key"], key, "the same, said otherwise")
            self.assertEqual({i["name"]: i["id"] for i in listing["images"]}, first)

    def test_another_file(self):
        other = Path(self.temporary.name) / "labels.json"
        server = self.serve("--annotations", other)
        self.assertEqual(self.put(server, "a.jpg", [{"uid": "u", "class": "x", "segmentation": MASK}])[0], 200)
        self.assertFalse(self.file.exists())
        self.assertEqual(len(json.loads(other.read_text())["annotations"]), 1)

    def test_a_client_that_is_gone_has_saved(self):
        """A page that is left: its last change has been sent, nobody hears the answer."""
        server = self.serve()
        _, headers, _ = server.ask("GET", self.path("a.jpg"))
        objects = [{"uid": f"u{i}", "class": "x" * 199, "segmentation": MASK} for i in range(400)]  # beyond 64 KB
        body = json.dumps({"width": 600, "height": 400, "done": False, "objects": objects}).encode()
        head = f"PUT {self.path('a.jpg')} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nIf-Match: {headers['ETag']}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((server.host, server.port)) as connection:
            connection.sendall(head.encode() + body)
        wait_until(lambda: server.ask("GET", self.path("a.jpg"))[2]["objects"])
        self.assertEqual(len(self.data()["annotations"]), 400)

    def test_a_killed_server_loses_nothing(self):
        """What was answered is in the file, whole, whenever the server dies."""
        server = self.serve()
        answered = []

        def save():
            try:
                while True:
                    etag = server.ask("GET", self.path("a.jpg"))[1]["ETag"]
                    there = [{"id": i, "class": "x"} for i in answered[-1]] if answered else []
                    new = {"uid": f"u{len(there)}", "class": "x", "segmentation": MASK}
                    status, _, answer = self.put(server, "a.jpg", [*there, new], etag)
                    assert status == 200, answer
                    answered.append(answer["ids"])
            except OSError:
                pass  # it is dead
            except Exception as error:  # half an answer
                assert "http" in type(error).__module__, error

        thread = threading.Thread(target=save)
        thread.start()
        wait_until(lambda: len(answered) > 5 or not thread.is_alive())
        server.process.kill()
        thread.join()
        server.process.wait()
        self.assertGreater(len(answered), 5)
        self.assertIn(len(self.data()["annotations"]), (len(answered), len(answered) + 1))
        server = self.serve()
        self.assertGreaterEqual(len(server.ask("GET", self.path("a.jpg"))[2]["objects"]), len(answered))

    def test_two_servers_on_one_file(self):
        """Each adds its own objects to its own image, at a time: none is lost."""
        servers = [self.serve(), self.serve()]
        failed = []

        def save(server, name):
            try:
                for i in range(8):
                    there = server.ask("GET", self.path(name))
                    objects = [{"id": o["id"], "class": o["class"]} for o in there[2]["objects"]]
                    objects.append({"uid": f"{name}{i}", "class": name, "segmentation": MASK})
                    status, _, answer = self.put(server, name, objects, there[1]["ETag"])
                    assert status == 200, answer
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=save, args=job) for job in zip(servers, ("a.jpg", "sub/b.bmp"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        data = self.data()
        self.assertEqual(len(data["annotations"]), 16)
        self.assertEqual(len({a["id"] for a in data["annotations"]}), 16)

    def test_another_program_that_keeps_the_lock(self):
        server = self.serve()
        handle = os.open(self.root, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        etag, said = server.ask("GET", self.path("a.jpg"))[1]["ETag"], []
        thread = threading.Thread(target=lambda: said.append(self.put(server, "a.jpg", [], etag)))
        thread.start()
        wait_until(lambda: b'samc_waiting{stage="files"} 1' in server.ask("GET", "/metrics")[2])
        self.assertEqual(server.stop(), 0, "it ends all the same")
        thread.join()
        self.assertEqual((said[0][0], "locked" in said[0][2]["error"], self.file.exists()), (503, True, False))
        os.close(handle)
        self.assertEqual(self.put(self.serve(), "a.jpg", [])[0], 200)

    def test_without_a_folder(self):
        with Server(SAMC, model=TINY) as server:
            self.assertFalse(server.ask("GET", "/v1/model")[2]["folder"])
            self.assertEqual(server.ask("GET", "/v1/folder")[0], 404)
            self.assertEqual(server.ask("PUT", "/v1/folder/classes", {"classes": []})[0], 404)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
