"""Recipes and Hugging Face's layout, from a picture's file to masks, against what the originals made of it
(tests/parity/make_recipe_golden.py); and recipes that are named, given, refused, kept and noticed.
"""

import array
import json
import os
import struct

from checkpoint_files import GOLDEN, config_json, floats, golden, huggingface, pth, safetensors
from cli_test import Case, read, run

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "..", "data", "recipes")
PHOTO = os.path.join(FOLDER, "photo.png")
GATE_NMSE, GATE_MAX = 1e-10, 1e-4  # tests/parity/README.md


def tensors(path):
    data = read(path)
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    out = {}
    for name, t in header.items():
        begin, end = (8 + length + o for o in t["data_offsets"])
        out[name] = array.array("f" if t["dtype"] == "F32" else "B", data[begin:end])
    return out


def npy(path):
    data = read(path)
    return data[10 + struct.unpack("<H", data[8:10])[0] :]


def put(path, data):
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


class Recipes(Case):
    def bare(self, name="bare.pth"):
        """The golden model's state_dict without anything that says its heads: 8 in the decoder, which has 4."""
        return put(self.at(name), pth(golden()))

    def plain(self):
        """The golden model with its heads and no recipe."""
        return put(self.at("m.safetensors"), safetensors(golden(), {"samc.config": '{"decoder_num_heads": 4}'}))

    def info(self, *arguments):
        return json.loads(self.good("info", *arguments, "--json", "--device", "cpu")[0])["model"]

    def masks_of(self, model, prompts, *options, masks=3):
        """(logits, the pixels of all masks in order)."""
        out = self.at("out")
        self.good(
            "segment",
            PHOTO,
            "--model",
            model,
            *prompts,
            "--format",
            "npy",
            "-o",
            out,
            "--logits",
            self.at("l.npy"),
            *options,
        )
        names = sorted(name for name in os.listdir(out) if name.endswith(".npy"))
        self.assertEqual(len(names), masks * 3 if len(prompts) > 2 else masks)
        pixels = b"".join(npy(os.path.join(out, name)) for name in names)
        for name in os.listdir(out):
            os.remove(os.path.join(out, name))
        return array.array("f", npy(self.at("l.npy"))), pixels

    def golden_masks(self, name):
        made = tensors(os.path.join(FOLDER, "golden.safetensors"))
        bits = made[f"{name}.masks"]
        return made, made[f"{name}.logits"], bytes(bits[i // 8] >> (i % 8) & 1 for i in range(8 * len(bits)))

    def prompts_file(self, made, name):
        if f"{name}.boxes" in made:
            boxes = made[f"{name}.boxes"]
            prompts = [{"box": list(boxes[i : i + 4])} for i in range(0, len(boxes), 4)]
        else:
            points = made[f"{name}.points"]
            prompts = [{"points": [list(points[i : i + 2])]} for i in range(0, len(points), 2)]
        return ("--prompts", put(self.at("p.json"), prompts), "--quiet")

    def same(self, name, model, *options, masks=3):
        """Logits within the gates of parity, masks equal but where the original's own rounding decides."""
        made, logits, pixels = self.golden_masks(name)
        ours, bits = self.masks_of(model, self.prompts_file(made, name), *options, masks=masks)
        self.assertEqual((len(ours), len(bits)), (len(logits), len(pixels)))
        mean = sum(logits) / len(logits)
        variance = sum((x - mean) ** 2 for x in logits) / len(logits)
        self.assertLess(sum((a - b) ** 2 for a, b in zip(ours, logits)) / len(logits) / variance, GATE_NMSE)
        self.assertLess(max(abs(a - b) for a, b in zip(ours, logits)) / variance**0.5, GATE_MAX)
        near = set(made[f"{name}.near"])
        self.assertEqual([i for i, (a, b) in enumerate(zip(bits, pixels)) if a != b and i not in near], [])

    def differs(self, name, model, *options, masks=3):
        made, logits, _ = self.golden_masks(name)
        ours, _ = self.masks_of(model, self.prompts_file(made, name), *options, masks=masks)
        self.assertGreater(max(abs(a - b) for a, b in zip(ours, logits)), 0.01)


class Originals(Recipes):
    def test_medsam(self):
        model = self.plain()
        for backend in ("cpu", "ref"):
            self.same("medsam", model, "--recipe", "medsam", "--backend", backend, masks=1)
        self.good("convert", model, "-o", self.at("c.safetensors"), "--recipe", "medsam")
        self.same("medsam", self.at("c.safetensors"), masks=1)
        # Another recipe is seen.
        self.differs("medsam", model, "--single", masks=1)
        self.differs("medsam", self.at("c.safetensors"), "--recipe", "sam", "--single", masks=1)

    def test_micro_sam(self):
        model = self.plain()
        for backend in ("cpu", "ref"):
            self.same("micro-sam", model, "--recipe", "micro-sam", "--backend", backend)
        self.good("convert", model, "-o", self.at("c.safetensors"), "--recipe", "micro-sam")
        self.same("micro-sam", self.at("c.safetensors"))
        self.differs("micro-sam", model)

    def test_hugging_face(self):
        # transformers resizes by torchvision and computes the decoder with another epsilon: by IoU, each mask.
        folder = self.at("hub")
        os.makedirs(folder)
        put(os.path.join(folder, "model.safetensors"), safetensors(huggingface(golden())))
        put(os.path.join(folder, "config.json"), config_json())
        made, logits, pixels = self.golden_masks("hf")
        for model in (folder, os.path.join(folder, "model.safetensors")):
            ours, bits = self.masks_of(model, self.prompts_file(made, "hf"))
            size = len(pixels) // 9
            for i in range(9):
                a, b = bits[i * size : (i + 1) * size], pixels[i * size : (i + 1) * size]
                both = sum(x & y for x, y in zip(a, b))
                self.assertGreaterEqual(both / sum(x | y for x, y in zip(a, b)), 0.999, f"mask {i}")
                self.assertGreater(both, 300)


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def ppm(width, height, pixels):
    return b"P6 %d %d 255\n" % (width, height) + bytes(pixels)


class Told(Recipes):
    """What is said of a recipe, and where it is from."""

    def test_where_it_is_from(self):
        bare, told = self.bare(), self.plain()
        self.assertEqual([self.info(bare)["recipe"][key] for key in ("name", "from")], ["sam", "assumed"])
        for path in (GOLDEN, told):
            recipe = self.info(path)["recipe"]
            self.assertEqual((recipe["name"], recipe["from"]), ("sam", "the file's metadata"))
        self.assertEqual(recipe["preprocess"]["resize"], "longest_side")
        recipe = self.info(bare, "--recipe", "medsam")["recipe"]
        self.assertEqual((recipe["name"], recipe["from"]), ("medsam", "the caller"))
        self.assertEqual(recipe["preprocess"]["filter"], "cubic_antialias")
        self.assertIn(
            "\n  recipe        micro-sam (the caller)\n",
            self.good("info", bare, "--recipe", "micro-sam", "--device", "cpu")[0].decode(),
        )
        os.makedirs(self.at("hub"))
        put(self.at("hub", "model.safetensors"), safetensors(huggingface(golden())))
        put(self.at("hub", "preprocessor_config.json"), {"size": {"longest_edge": 144}})
        recipe = self.info(self.at("hub"))["recipe"]
        self.assertEqual((recipe["name"], recipe["from"]), ("sam", "preprocessor_config.json"))

    def test_what_is_assumed_is_said_in_one_line(self):
        note = "nothing says its recipe, sam is assumed (of sam, medsam, micro-sam, or FILE.json)"
        bare = self.bare()
        for command in (
            ("segment", PHOTO, "--model", bare, "--point", "5,5", "--format", "rle", "--quiet"),
            ("segment", PHOTO, "--model", bare, "--point", "5,5", "--format", "rle"),
            ("convert", bare, "-o", self.at("c.safetensors")),
            ("convert", bare, "-o", self.at("c.safetensors"), "--dtype", "int8", "--calibrate", FOLDER),
            ("embed", PHOTO, "--model", bare, "-o", self.at("e.npy")),
        ):
            err = self.good(*command)[1]
            self.assertEqual(err.splitlines().count(f"{bare}: {note}"), 0 if "--quiet" in command else 1, err)
        self.assertEqual(self.info(bare)["notes"], [note])
        for options in (("--recipe", "sam"), ("--recipe", "micro-sam")):
            self.assertEqual(self.info(bare, *options)["notes"], [])
        self.assertEqual(self.info(self.at("c.safetensors"))["notes"], [])

    def test_kept_by_convert(self):
        bare = self.bare()
        for name in ("sam", "medsam", "micro-sam"):
            first, second = self.at("1.safetensors"), self.at("2.safetensors")
            self.good("convert", bare, "-o", first, "--recipe", name)
            self.good("convert", first, "-o", second, "--dtype", "f16")
            for path in (first, second):
                recipe = self.info(path)["recipe"]
                self.assertEqual((recipe["name"], recipe["from"]), (name, "the file's metadata"))
            # Said anew it is another's.
            self.good("convert", first, "-o", second, "--recipe", "medsam")
            self.assertEqual(self.info(second)["recipe"]["name"], "medsam")
        self.assertEqual(self.info(first)["hash"], self.info(bare)["hash"])
        # As before there were recipes to choose: nothing is added to what says itself that it is SAM's.
        self.good("convert", GOLDEN, "-o", first)
        self.assertNotIn(b'\\"recipe\\"', read(first)[:4000])


class Given(Recipes):
    def refuse(self, expected, *options):
        for command in (("info", self.bare()), ("convert", self.bare(), "-o", self.at("c.safetensors"))):
            self.failure(expected, *command, *options)
        self.assertFalse(os.path.exists(self.at("c.safetensors")))

    def test_names(self):
        for name in ("medsan", "MEDSAM", "vit", "custom"):
            self.refuse(
                f"bare.pth: '{name}' is no recipe that its encoder is used with; those are sam, medsam, micro-sam, and",
                "--recipe",
                name,
            )
        self.assertEqual(run("info", self.bare(), "--recipe", "")[0], 2)

    def test_files(self):
        file = self.at("own.json")
        recipe = {
            "name": "lab-7",
            "pixel_mean": [127.5, 127.5, 127.5],
            "pixel_std": [127.5, 127.5, 127.5],
            "preprocess": {"resize": "squash", "filter": "bilinear", "masks": "direct"},
        }
        put(file, recipe)
        told = self.info(self.bare(), "--recipe", file)["recipe"]
        self.assertEqual((told["name"], told["from"]), ("lab-7", "the caller, by own.json"))
        self.assertEqual(told["pixel_std"], [127.5] * 3)
        self.assertEqual(told["preprocess"]["filter"], "bilinear")
        self.good("convert", self.bare(), "-o", self.at("c.safetensors"), "--recipe", file)
        again = self.info(self.at("c.safetensors"))["recipe"]
        self.assertEqual((again.pop("from"), told.pop("from")), ("the file's metadata", "the caller, by own.json"))
        self.assertEqual(again, told)
        prompts = ("--point", "40,50")
        self.assertTrue(
            self.masks_of(self.bare(), prompts, "--recipe", file) == self.masks_of(self.at("c.safetensors"), prompts)
        )
        self.assertFalse(self.masks_of(self.bare(), prompts) == self.masks_of(self.at("c.safetensors"), prompts))
        # Without a name, and by a path.
        put(file, {"preprocess": {"levels": "channel_min_max"}})
        self.assertEqual(self.info(self.bare(), "--recipe", file)["recipe"]["name"], "custom")
        made = self.masks_of(self.bare(), prompts, "--recipe", file)
        self.assertTrue(made == self.masks_of(self.bare(), prompts, "--recipe", "micro-sam"))

    def test_broken_files(self):
        file = self.at("own.json")
        for data, expected in (
            (b"{", "own.json is not valid JSON"),
            (b"[1]", "own.json is not a JSON object"),
            (b'{"name": "a", "name": "b"}', "own.json: name occurs twice"),
            (b" " * (1 << 20), "the recipe own.json cannot be read: no file of less than a megabyte"),
            ({"preproces": {}}, 'own.json: "preproces" is no field of a recipe'),
            ({"preprocess": {"resise": "squash"}}, 'own.json: "resise" is no field of a recipe'),
            ({"preprocess": {"resize": "squished"}}, 'own.json: the model wants its images with resize "squished"'),
            ({"preprocess": {"resize": 3}}, "own.json: resize is not a string"),
            ({"preprocess": 3}, "own.json: preprocess is not an object"),
            ({"preprocess": {"frame": -1}}, "own.json: frame is not a whole number from 1 to 8192"),
            ({"preprocess": {"sigmoid": "yes"}}, "own.json: sigmoid is not true or false"),
            ({"preprocess": {"prompts": "points"}}, 'prompts "points"; samc can only do "any", "box"'),
            ({"pixel_std": [1, 0, 1]}, "own.json: pixel_std is not made of positive numbers"),
            ({"pixel_mean": [1, 0]}, "own.json: pixel_mean is not a list of three numbers"),
            ({"mask_threshold": None}, "own.json: mask_threshold is not made of finite numbers"),
            ({"name": "medsam"}, "own.json: name is not one of its own"),
            ({"name": "a b"}, "own.json: name is not one of its own"),
        ):
            put(file, data)
            self.refuse(expected, "--recipe", file)
        self.refuse("the recipe absent.json cannot be read: No such file", "--recipe", "absent.json")
        self.refuse("cannot be read: no file of less than a megabyte", "--recipe", self.at("") + "/")

    def test_metadata_that_says_two_things(self):
        def of(config):
            return put(self.at("x.safetensors"), safetensors(golden(), {"samc.config": json.dumps(config)}))

        self.failure(
            "x.safetensors: metadata samc.config says recipe medsam, and fields of another",
            "info",
            of({"recipe": "medsam", "preprocess": {"resize": "longest_side"}}),
        )
        self.failure("recipe is not the name of a recipe", "info", of({"recipe": 7}))
        self.failure("recipe is not the name of a recipe", "info", of({"recipe": "a" * 40}))
        self.failure(
            "no encoder of samc is used with the model's recipe", "info", of({"preprocess": {"resize": "squash"}})
        )
        self.assertEqual(self.info(of({"recipe": "medsam"}))["recipe"]["preprocess"]["sigmoid"], True)


class Boxes(Recipes):
    """MedSAM's models know boxes alone."""

    def test_other_prompts_are_refused(self):
        model = ("--model", self.bare(), "--recipe", "medsam")
        logits = self.at("l.npy")
        self.good("segment", PHOTO, "--model", self.bare(), "--point", "9,9", "--format", "rle", "--logits", logits)
        for prompts in (
            ("--point", "5,5"),
            ("--box", "3,3,40,40", "--point", "5,5"),
            ("--prompts", put(self.at("p.json"), [{"box": [1, 1, 50, 50]}, {"points": [[1, 2]]}])),
            ("--box", "3,3,40,40", "--mask-input", logits),
            ("--mask-input", logits),
        ):
            self.failure(
                "bare.pth: its recipe, medsam, is for boxes alone; points and masks mean nothing to it",
                "segment",
                PHOTO,
                *prompts,
                *model,
                "--format",
                "rle",
            )
        for command in (("auto", PHOTO, "-o", self.at("auto")),):
            self.failure(
                "automatic masks ask with points, and the model's recipe, medsam, is for boxes", *command, *model
            )
        self.assertFalse(os.path.exists(self.at("auto")))

    def test_one_mask_for_a_box(self):
        out = self.good(
            "segment",
            PHOTO,
            "--model",
            self.bare(),
            "--recipe",
            "medsam",
            "--box",
            "9,9,90,80",
            "--box",
            "1,1,50,50",
            "--format",
            "rle",
        )[0]
        self.assertEqual([(m["prompt"], m["mask"]) for m in json.loads(out)["masks"]], [(0, 0), (1, 0)])
        self.assertEqual(self.info(self.bare(), "--recipe", "medsam")["architecture"]["multimask_outputs"], 1)


class Noticed(Recipes):
    """Embeddings and archives made with one recipe are not taken for those of another."""

    def test_embeddings(self):
        bare, emb = self.bare(), self.at("e.safetensors")
        segment = ("segment", PHOTO, "--model", bare, "--box", "9,9,90,80", "--format", "rle", "--single")
        for made in ("sam", "medsam", "micro-sam"):
            self.good("embed", PHOTO, "--model", bare, "--recipe", made, "-o", emb)
            for used in ("sam", "medsam", "micro-sam"):
                if used == made:
                    with_it = self.good(*segment, "--recipe", used, "--embedding", emb)[0]
                    self.assertEqual(with_it, self.good(*segment, "--recipe", used)[0])
                else:
                    self.failure(
                        f"e.safetensors: made with another recipe than this model's, which is {used}",
                        *segment,
                        "--recipe",
                        used,
                        "--embedding",
                        emb,
                    )
            self.assertEqual(b"samc.recipe" in read(emb), made != "sam")

    def test_archives(self):
        bare, out = self.bare(), self.at("out")
        auto = (
            "auto",
            PHOTO,
            "--model",
            bare,
            "-o",
            out,
            "--format",
            "jsonl",
            "--device",
            "cpu",
            "--points-per-side",
            "4",
        )
        self.good(*auto)
        self.good(*auto, "--resume")
        self.failure("recipe", *auto, "--resume", "--recipe", "micro-sam")

    def test_stretched_before_crops(self):
        # The levels are those of the whole picture also where crops of it are encoded.
        width, height, seed, pixels = 90, 70, 1, []
        for i in range(width * height * 3):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            x, y, c = i // 3 % width, i // 3 // width, i % 3
            pixels.append(40 + 11 * c + (60 if (x - 25) ** 2 + (y - 20) ** 2 < 100 else x // 3) + (seed >> 16) % 5)
        stretched = []
        limits = [(min(pixels[c::3]), max(pixels[c::3])) for c in range(3)]
        for i, value in enumerate(pixels):
            least, most = limits[i % 3]
            stretched.append(int(f32(f32((value - least) / f32(most - least + 1e-7)) * 255)))
        self.assertEqual((min(stretched), max(stretched)), (0, 255))
        results = []
        for name, data, recipe in (("a", pixels, "micro-sam"), ("b", stretched, "sam")):
            put(self.at("photo.ppm"), ppm(width, height, data))
            for more in ((), ("--crop-n-layers", "1")):
                out = self.at(name + str(len(more)))
                self.good(
                    "auto",
                    self.at("photo.ppm"),
                    "--recipe",
                    recipe,
                    "-o",
                    out,
                    "--format",
                    "jsonl",
                    "--device",
                    "cpu",
                    "--points-per-side",
                    "4",
                    "--pred-iou-thresh",
                    "0",
                    "--stability-score-thresh",
                    "0",
                    "--box-nms-thresh",
                    "1",
                    "--crop-nms-thresh",
                    "1",
                    *more,
                )
                results.append(read(os.path.join(out, "masks.jsonl")))
        self.assertTrue(results[:2] == results[2:])
        self.assertNotEqual(results[0], results[1])
        self.assertGreater(len(results[0]), 1000)
