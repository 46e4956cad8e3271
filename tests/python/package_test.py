#!/usr/bin/env python3
"""The package on the small models of tests/data: images in and masks out, the classes of segment_anything, archives,
threads, forks, pickles, memory."""

import ctypes
import gc
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

import samc
from samc import _device, _polygons

SOURCE = Path(__file__).resolve().parent.parent.parent
TINY = SOURCE / "tests/data/golden/tiny.safetensors"
PHOTO = SOURCE / "tools/examples/cat.jpg"
LOOSE = dict(pred_iou_thresh=-1e9, stability_score_thresh=0.0, box_nms_thresh=1.0)
RNG = np.random.default_rng(7)


def picture(height=40, width=60):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


class Tensor:
    """An array of another kind: NumPy's functions give it back, and its max() is its own."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)

    def __array_wrap__(self, values, *_):
        return Tensor(values)

    def max(self):
        return self.values.max()


class Images(unittest.TestCase):
    def test_no_copy(self):
        image = picture()
        for held in (image, memoryview(image), image[:, :50], image[::2]):
            array, raw = samc._pixels.as_image(held)
            self.assertTrue(np.shares_memory(array, image))
            self.assertEqual(raw.pixels, np.asarray(held).__array_interface__["data"][0])
            self.assertEqual((raw.height, raw.width), np.shape(held)[:2])

        class Capsule:  # has DLPack and nothing else
            def __dlpack__(self, **arguments):
                return image.__dlpack__(**arguments)

            def __dlpack_device__(self):
                return image.__dlpack_device__()

        self.assertTrue(np.shares_memory(samc.as_array(Capsule()), image))

    def test_copies_where_pixels_are_not_in_a_row(self):
        image = picture()
        for view in (image[..., ::-1], image[:, ::2], image[::-1], image.transpose(1, 0, 2)):
            array, raw = samc._pixels.as_image(view)
            self.assertTrue(np.array_equal(array, view) and array.flags.c_contiguous)
            self.assertEqual(raw.row_bytes, 3 * view.shape[1])

    def test_refused(self):
        image = picture()
        for wrong in (image[..., 0], image.astype(np.float32), image[:0], np.zeros((4, 4, 4), np.uint8)):
            with self.assertRaises(ValueError):
                samc.as_array(wrong)
        with self.assertRaises(FileNotFoundError):
            samc.read_image("no such file.jpg")
        with self.assertRaises(samc.Error) as caught:
            samc.read_image(b"GIF89a")
        self.assertIn("image", str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def test_files_and_bytes(self):
        image = samc.read_image(PHOTO)
        self.assertEqual(image.shape, (300, 451, 3))
        self.assertTrue(np.array_equal(image, samc.read_image(PHOTO.read_bytes())))
        self.assertTrue(np.array_equal(image, samc.read_image(bytearray(PHOTO.read_bytes()))))
        with self.assertRaises(samc.Error):
            samc.read_image(PHOTO, max_pixels=1000)

    def test_arrays_on_a_gpu(self):
        """With a driver whose device memory is the host's: order of calls, streams, strides, offsets."""
        image, calls = picture(), []

        class Driver:
            def cuPointerGetAttribute(self, out, what, pointer):
                calls.append(("attribute", what))
                return 1 if what == 1 else 0  # memory of a pool has no context

            def cuDevicePrimaryCtxRetain(self, out, device):
                return 0

            def cuCtxPushCurrent_v2(self, context):
                calls.append("push")
                return 0

            def cuStreamSynchronize(self, stream):
                calls.append(("wait", stream.value))
                return 0

            def cuMemcpyDtoH_v2(self, to, pointer, size):
                calls.append("copy")
                ctypes.memmove(to, pointer.value, size.value)
                return 0

            def cuCtxPopCurrent_v2(self, out):
                calls.append("pop")
                return 0

        class OnGpu:
            def __init__(self, array):
                self.__cuda_array_interface__ = dict(array.__array_interface__, stream=7)
                self.keep = array

        self.addCleanup(setattr, _device, "_driver", _device._driver)
        _device._driver = Driver()
        for view in (image, image[4:20, 5:30], image.transpose(1, 0, 2)):
            calls.clear()
            self.assertTrue(np.array_equal(samc.as_array(OnGpu(view)), view))
            self.assertEqual(calls, [("attribute", 1), ("attribute", 9), "push", ("wait", 7), "copy", "pop"])

        class Capsule:
            def __dlpack__(self, stream):
                calls.append(("stream", stream))
                return image.__dlpack__()

            def __dlpack_device__(self):
                return 2, 0

        class Tensor(Capsule):  # PyTorch's have both, and no stream in this one
            __cuda_array_interface__ = image.__array_interface__

        for held in (Capsule(), Tensor()):
            calls.clear()
            self.assertTrue(np.array_equal(samc.as_array(held), image))
            self.assertEqual([calls[0], calls[-2:]], [("stream", 1), ["copy", "pop"]])


class Sessions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = samc.load(TINY, threads=1)

    def test_errors_are_exceptions(self):
        with self.assertRaises(FileNotFoundError):
            samc.load("no such model")
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            file.write(b"nothing of the kind")
            file.flush()
            with self.assertRaises(samc.MalformedFile) as caught:
                samc.load(file.name)
        self.assertIn(os.path.basename(file.name), str(caught.exception))
        self.assertEqual(str(caught.exception).count("\n"), 0)
        with self.model.session() as session:
            with self.assertRaises(samc.NoImage):
                session.predict([[1, 1]])
            session.set_image(picture())
            for wrong in (dict(), dict(points=[[1, 1]], labels=[5]), dict(points=[[np.nan, 1]])):
                with self.assertRaises(samc.InvalidArgument):
                    session.predict(**wrong)
            for wrong in (dict(points=[1, 1]), dict(points=[[1, 1]], labels=[1, 1]), dict(box=[1, 2, 3])):
                with self.assertRaises(ValueError):
                    session.predict(**wrong)
        for call in (lambda: session.predict([[1, 1]]), lambda: session.set_image(picture())):
            with self.assertRaises(ValueError):
                call()
        with self.assertRaises(ValueError):
            samc.load(TINY, backend="gpu")
        with self.assertRaises(ValueError):
            samc.load(TINY, device="tpu:0")

    def test_whole_numbers_that_do_not_fit(self):
        """ctypes alone drops the upper bits: image 2^32 would be image 0."""
        image = np.zeros((20, 30, 3), np.uint8)
        with samc.Model(TINY) as model, model.session() as session:
            session.set_image(image)
            point = [[1, 2]]
            for call in (
                lambda: samc.Model(TINY, threads=2**32 + 1),
                lambda: session.image_size(2**32),
                lambda: session.predict(point, [2**32 + 1]),
                lambda: session.predict(point, np.array([2**32 + 1])),
                lambda: session.predict(point, np.array([-(2**63)])),
                lambda: session.predict(point, [float("nan")]),
                lambda: session.predict(point, image=2**32),
                lambda: session.auto([image], points_per_side=2**32 + 8),
                lambda: samc.auto("in", "out", page=2**32),
                lambda: samc.auto("in", "out", memory=2**64),
            ):
                self.assertRaises(OverflowError, call)
            for labels in ([True], Tensor([1])):
                self.assertEqual(session.predict(point, labels).arrays().shape, (1, 3, 20, 30))

    def test_closed_in_any_order(self):
        model = samc.load(TINY, threads=1)
        session = model.session()
        model.close()
        model.close()
        session.set_image(picture())  # the weights live as long as their sessions
        result = session.predict([[3, 3]])
        logits = result.logits
        before = logits.copy()
        session.close()
        self.assertTrue(np.array_equal(logits, before))  # and logits as long as somebody looks
        with self.assertRaises(ValueError):
            result.mask()
        with self.assertRaises(ValueError):
            model.session()

    def test_collected_in_any_order(self):
        """A model and its session in a circle: the collector ends them in an order of its own."""
        closed = []

        class Circle:
            pass

        def watched(handle, name):
            real = handle._close
            handle._close = lambda pointer: (closed.append(name), real(pointer))

        for end in (lambda one: None, lambda one: one.model.close(), lambda one: one.session.close()):
            one = Circle()
            one.itself, one.model = one, samc.load(TINY, threads=1)
            one.session = one.model.session()
            watched(one.model._handle, "model")
            watched(one.session._handle, "session")
            closed.clear()
            end(one)
            del one
            gc.collect()
            self.assertEqual(closed, ["session", "model"])

    def test_results(self):
        image = picture()
        with self.model.session() as session:
            session.set_image(image)
            self.assertEqual(session.image_size(), (40, 60))
            result = session.predict_many([dict(points=[[5, 5]]), samc.Prompt(box=[1, 2, 30, 30])])
            self.assertEqual((result.prompts, result.masks_per_prompt), (2, 3))
            low = self.model.info.low_res
            self.assertEqual((result.logits.shape, result.iou.shape), ((2, 3, low, low), (2, 3)))
            self.assertFalse(result.logits.flags.writeable or result.logits.flags.owndata)
            for prompt in range(2):
                self.assertEqual(result.best(prompt), int(result.iou[prompt].argmax()))
                for index, mask in enumerate(result.masks(prompt)):
                    self.assertEqual((mask.prompt, mask.index, mask.size), (prompt, index, (40, 60)))
                    array = mask.array()
                    self.assertTrue(np.array_equal(array, result.array(prompt)[index]))
                    self.assertEqual((mask.area, mask.predicted_iou), (array.sum(), result.iou[prompt, index]))
                    self.assertTrue(np.array_equal(samc.mask.decode(mask.rle()), array))
                    self.assertEqual(samc.mask.encode(array), mask.rle())
            self.assertTrue(np.array_equal(result.arrays()[1], result.array(1)))
            levels = session.levels()
            self.assertTrue(np.array_equal(levels[0], session.embedding()))
            again = self.model.session()
            again.set_embedding(session.embedding(), (40, 60))
            self.assertTrue(np.array_equal(again.predict([[5, 5]]).logits[0], result.logits[0]))
            with tempfile.TemporaryDirectory() as folder:
                session.save_embedding(f"{folder}/e.safetensors")
                again.load_embedding(f"{folder}/e.safetensors")
                self.assertTrue(np.array_equal(again.embedding(), session.embedding()))
                session.save_embedding(f"{folder}/e.safetensors", dtype="f16")
                again.load_embedding(f"{folder}/e.safetensors")
                half = session.embedding().astype(np.float16).astype(np.float32)
                self.assertTrue(np.array_equal(again.embedding(), half))
                with self.assertRaises(ValueError):
                    session.save_embedding(f"{folder}/e.safetensors", dtype="int8")
            self.assertEqual(again.image_size(), (40, 60))
            with self.assertRaises(ValueError):
                again.set_embedding(np.zeros((1, 2, 3)), (40, 60))

    def test_threads(self):
        """A session for each thread at the same time; one session of all threads, in turn."""
        images = [picture() for _ in range(4)]
        expected, shared = [], self.model.session()
        for image in images:
            shared.set_image(image)
            expected.append(shared.predict([[5, 5]]).array())
        failures = []

        def work(image, masks, session):
            for _ in range(5):
                own = session or self.model.session()
                with own._lock:
                    own.set_image(image)
                    if not np.array_equal(own.predict([[5, 5]]).array(), masks):
                        failures.append("another mask")

        for session in (None, shared):
            threads = [threading.Thread(target=work, args=(i, m, session)) for i, m in zip(images, expected)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])

    def test_gil_is_released(self):
        """Another thread runs Python while the library is at work: it stops that work, which would else never end."""
        session, seen = self.model.session(), []
        grid = [RNG.random((60000, 2))]

        def other():
            seen.append("ran")
            session.stop()

        timer = threading.Timer(0.05, other)
        timer.start()
        with self.assertRaises(samc.Stopped):
            session.auto([picture()], point_grids=grid, **LOOSE)
        timer.join()
        self.assertEqual(seen, ["ran"])

    def test_fork_while_a_thread_is_at_work(self):
        """The child is told, and does not wait for a thread that is not there."""
        session, held, go = self.model.session(), threading.Event(), threading.Event()

        def work():
            with session._lock:
                held.set()
                go.wait()

        thread = threading.Thread(target=work)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # ends what waits
            try:
                session.set_image(picture())
            except RuntimeError as error:
                session.close()
                os._exit(0 if "forked" in str(error) else 2)
            os._exit(3)
        status = os.waitpid(child, 0)[1]
        go.set()
        thread.join()
        self.assertEqual(status, 0)

    def test_fork(self):
        session = self.model.session()
        session.set_image(picture())
        expected = session.predict([[5, 5]]).array()
        mask = session.predict([[5, 5]]).mask()
        image = picture()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            said = []
            for call in (lambda: session.predict([[5, 5]]), lambda: self.model.session(), self.model.hash):
                try:
                    call()
                    said.append("worked")
                except RuntimeError as error:
                    said.append("forked" if "forked" in str(error) else str(error))
            with pickle.loads(pickle.dumps(self.model)) as own, own.session() as mine:
                mine.set_image(image)
                said.append(str(mine.predict([[5, 5]]).array().sum()))
            said.append(str(mask.array().sum()))
            del session  # closes nothing of the parent's
            os.write(writer, json.dumps(said).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as file:
            said = json.load(file)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertTrue(np.array_equal(session.predict([[5, 5]]).array(), expected))
        session.set_image(image)
        self.assertEqual(said, ["forked"] * 3 + [str(session.predict([[5, 5]]).array().sum()), str(mask.array().sum())])

    def test_pickles(self):
        session = self.model.session()
        image = picture()
        session.set_image(image)
        masks = session.predict([[5, 5]]).masks()
        self.assertEqual(pickle.loads(pickle.dumps(masks)), masks)
        found = session.auto([image], points_per_side=3, **LOOSE)[0]
        again = pickle.loads(pickle.dumps(found))
        self.assertEqual((list(again), again.stats), (list(found), found.stats))
        self.assertEqual(pickle.loads(pickle.dumps(self.model)).hash(), self.model.hash())
        predictor = samc.SamPredictor(self.model)
        empty = pickle.loads(pickle.dumps(predictor))
        self.assertFalse(empty.is_image_set)
        predictor.set_image(image)
        prompt = dict(point_coords=np.array([[5, 5]]), point_labels=np.array([1]))
        for there, here in zip(pickle.loads(pickle.dumps(predictor)).predict(**prompt), predictor.predict(**prompt)):
            self.assertTrue(np.array_equal(there, here))
        generator = samc.SamAutomaticMaskGenerator(self.model, points_per_side=3, output_mode="coco_rle", **LOOSE)
        self.assertEqual(pickle.loads(pickle.dumps(generator)).generate(image), generator.generate(image))
        self.assertIsInstance(pickle.loads(pickle.dumps(samc.MalformedFile("x"))), samc.MalformedFile)

    @unittest.skipIf(os.environ.get("SAMC_TEST_SANITIZED"), "freed memory is kept by the sanitizer")
    def test_memory_is_flat(self):
        """1,000 calls of everything that allocates."""
        image = picture()

        def resident():
            return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        predictor = samc.SamPredictor(self.model)
        generator = samc.SamAutomaticMaskGenerator(self.model, points_per_side=2, **LOOSE)

        def once(i):
            predictor.set_image(image)
            predictor.predict(np.array([[5, 5]]), np.array([1]))
            mask = predictor.session.predict([[5, 5]]).mask()
            mask.polygons()
            samc.mask.decode(samc.mask.merge([mask.rle(), mask.rle()]))
            samc.read_image(PHOTO_BYTES)
            if i % 10 == 0:
                generator.generate(image)
                self.model.session().close()

        for i in range(200):
            once(i)
        before = resident()
        for i in range(1000):
            once(i)
        # One decoded picture that is not given back each time would be 400 MB, one result 30 MB.
        self.assertLess(resident() - before, 8 << 20)


PHOTO_BYTES = PHOTO.read_bytes()


class DropIn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sam = samc.sam_model_registry["any"](checkpoint=str(TINY), threads=1)

    def test_model(self):
        sam, side = self.sam, self.sam.model.info.image_size
        self.assertIs(sam.to("cpu").eval(), sam)
        self.assertIs(sam.to(device="cpu"), sam)
        self.assertEqual((sam.image_encoder.img_size, sam.mask_threshold, sam.image_format), (side, 0.0, "RGB"))
        self.assertEqual(str(sam.device), "cpu")
        self.assertEqual(sam.pixel_mean.shape, (3, 1, 1))
        with self.assertRaises((samc.NoDevice, samc.Unsupported)):
            sam.to("cuda")
        with self.assertRaises(FileNotFoundError):
            samc.sam_model_registry["vit_b"](checkpoint="no such file")
        with self.assertRaises(RuntimeError):  # as load_state_dict()
            samc.sam_model_registry["vit_b"](checkpoint=str(TINY))
        self.assertEqual(set(samc.sam_model_registry), {"default", "vit_h", "vit_l", "vit_b", "any"})

    def test_predictor(self):
        predictor, image = samc.SamPredictor(self.sam), picture(40, 60)
        side, low = self.sam.image_encoder.img_size, self.sam.model.info.low_res
        for call in (lambda: predictor.predict(), lambda: predictor.predict_torch(None, None)):
            with self.assertRaises(RuntimeError) as caught:
                call()
            self.assertIn("An image must be set with .set_image(...) before mask prediction.", str(caught.exception))
        with self.assertRaises(RuntimeError):
            predictor.get_image_embedding()
        with self.assertRaises(AssertionError):
            predictor.set_image(image, image_format="GBR")
        predictor.set_image(image)
        self.assertTrue(predictor.is_image_set)
        self.assertEqual((predictor.original_size, predictor.input_size), ((40, 60), (round(40 * side / 60), side)))
        info = self.sam.model.info
        self.assertEqual(tuple(predictor.features.shape), (1, info.embed_channels, info.grid, info.grid))
        with self.assertRaises(AssertionError):
            predictor.predict(point_coords=np.array([[1, 1]]))
        points, labels = np.array([[5, 7], [20, 20]]), np.array([1, 0])
        masks, iou, logits = predictor.predict(points, labels)
        self.assertEqual((masks.shape, masks.dtype), ((3, 40, 60), np.dtype(bool)))
        self.assertEqual((iou.shape, iou.dtype), ((3,), np.dtype(np.float32)))
        self.assertEqual((logits.shape, logits.dtype), ((3, low, low), np.dtype(np.float32)))
        self.assertTrue(logits.flags.writeable and masks.flags.writeable)
        single = predictor.predict(points, labels, np.array([1, 1, 30, 30]), logits[:1], multimask_output=False)
        self.assertEqual([len(part) for part in single], [1, 1, 1])
        full = predictor.predict(points, labels, return_logits=True)[0]
        self.assertEqual((full.shape, full.dtype), ((3, 40, 60), np.dtype(np.float32)))
        near = np.abs(full) < 1e-4
        self.assertTrue(np.array_equal((full > 0) | near, masks | near))
        predictor.set_image(image[..., ::-1], image_format="BGR")
        self.assertTrue(np.array_equal(predictor.predict(points, labels)[0], masks))
        predictor.reset_image()
        self.assertFalse(predictor.is_image_set)
        self.assertIsNone(predictor.features)
        with self.assertRaises(RuntimeError):
            predictor.predict(points, labels)

    def test_predict_torch_of_arrays(self):
        """The batch in coordinates of the resized image is the prompts one by one in those of the image."""
        predictor, image = samc.SamPredictor(self.sam), picture(40, 60)
        predictor.set_image(image)
        points = np.array([[[5.0, 7.0]], [[20.0, 30.0]]])
        boxes = np.array([[1.0, 2, 30, 30], [10, 10, 50, 39]])
        batch = predictor.predict_torch(
            predictor.transform.apply_coords(points, (40, 60)),
            np.ones((2, 1), np.int32),
            predictor.transform.apply_boxes(boxes, (40, 60)),
        )
        self.assertEqual(batch[0].shape, (2, 3, 40, 60))
        for i in range(2):
            one = predictor.predict(points[i], np.ones(1), boxes[i])
            for many, single in zip(batch, one):
                self.assertEqual(many[i].dtype, single.dtype)
                self.assertLess(np.abs(many[i].astype(np.float32) - single).max(), 1e-4)

    def test_images_that_are_resized_already(self):
        """What ResizeLongestSide gives has the embedding of the image itself: its bytes are the engine's own."""
        predictor, other = samc.SamPredictor(self.sam), samc.SamPredictor(self.sam)
        for height, width in ((40, 60), (300, 451), (777, 50), (7, 900), (144, 144), (1, 5)):
            image = picture(height, width)
            predictor.set_image(image)
            resized = predictor.transform.apply_image(image)
            self.assertEqual(resized.shape[:2], predictor.input_size)
            other.set_torch_image(resized.transpose(2, 0, 1)[None], (height, width))
            self.assertTrue(np.array_equal(predictor.features, other.features), (height, width))
            self.assertEqual((other.original_size, other.input_size), (predictor.original_size, predictor.input_size))
        with self.assertRaises(AssertionError):
            other.set_torch_image(picture().transpose(2, 0, 1)[None], (40, 60))

    def test_features_of_somebody_else(self):
        predictor, other = samc.SamPredictor(self.sam), samc.SamPredictor(self.sam)
        predictor.set_image(picture())
        other.features, other.original_size, other.input_size = predictor.features, (40, 60), predictor.input_size
        other.is_image_set = True
        prompt = (np.array([[5, 5]]), np.array([1]))
        self.assertTrue(np.array_equal(other.predict(*prompt)[0], predictor.predict(*prompt)[0]))

    def test_model_is_called(self):
        predictor, image = samc.SamPredictor(self.sam), picture()
        predictor.set_image(image)
        transform = samc.ResizeLongestSide(self.sam.image_encoder.img_size)
        points = transform.apply_coords(np.array([[[5.0, 7.0]], [[20.0, 30.0]]]), (40, 60))
        (out,) = self.sam(
            [
                {
                    "image": transform.apply_image(image).transpose(2, 0, 1),
                    "original_size": (40, 60),
                    "point_coords": points,
                    "point_labels": np.ones((2, 1)),
                }
            ],
            multimask_output=False,
        )
        expected = predictor.predict_torch(points, np.ones((2, 1)), multimask_output=False)
        for name, value in zip(("masks", "iou_predictions", "low_res_logits"), expected):
            self.assertTrue(np.array_equal(out[name], value), name)

    def test_generator(self):
        image, found = picture(), {}
        for mode in ("binary_mask", "uncompressed_rle", "coco_rle"):
            with samc.SamAutomaticMaskGenerator(self.sam, points_per_side=4, output_mode=mode, **LOOSE) as generator:
                found[mode] = generator.generate(image)
        self.assertGreater(len(found["coco_rle"]), 3)
        for binary, numbers, text in zip(*found.values()):
            keys = "segmentation area bbox predicted_iou point_coords stability_score crop_box".split()
            self.assertEqual(list(binary), keys)
            array = binary["segmentation"]
            self.assertEqual((array.shape, array.dtype, array.sum()), ((40, 60), np.dtype(bool), binary["area"]))
            self.assertEqual(
                numbers["segmentation"]["counts"][1::2], [int(n) for n in numbers["segmentation"]["counts"][1::2]]
            )
            self.assertEqual(sum(numbers["segmentation"]["counts"][1::2]), binary["area"])
            self.assertIsInstance(text["segmentation"]["counts"], str)
            self.assertTrue(np.array_equal(samc.mask.decode(text["segmentation"]), array))
            self.assertEqual(json.loads(json.dumps(text)), text)
            for key in keys[1:]:
                self.assertEqual(binary[key], text[key])
        with self.assertRaises(AssertionError):
            samc.SamAutomaticMaskGenerator(self.sam, points_per_side=None)
        with self.assertRaises(AssertionError):
            samc.SamAutomaticMaskGenerator(self.sam, point_grids=[np.ones((1, 2))])
        with self.assertRaises(AssertionError):
            samc.SamAutomaticMaskGenerator(self.sam, output_mode="png")

    def test_batches(self):
        images = [picture(), picture(30, 30), picture(60, 40), picture(), picture()]
        generator = samc.SamAutomaticMaskGenerator(self.sam, points_per_side=3, output_mode="coco_rle", **LOOSE)
        expected = [generator.generate(image) for image in images]
        for size in (1, 2, 5, None):
            self.assertEqual(generator.generate_batch(images, batch_size=size), expected)
        self.assertEqual(list(generator.iterate(iter(images[:2]))), expected[:2])
        self.assertEqual(generator.generate_batch([]), [])
        records = generator.generate_masks(images[0]).records("coco_rle")
        self.assertEqual(records, expected[0])

    @unittest.skipIf(os.environ.get("SAMC_TEST_SANITIZED"), "the program is built without")
    def test_as_the_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            options = ["--points-per-side", "8", "--crop-n-layers", "1", "--min-mask-region-area", "50"]
            command = [sys.executable, "-m", "samc", "auto", PHOTO, "-o", folder, "--format", "rle", *options]
            subprocess.run(command, check=True, capture_output=True)
            said = json.loads(Path(folder, "cat.jpg.json").read_text())
        with samc.load() as model:
            defaults = {name: None for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh")}
            with model.session() as session:
                masks = session.auto(
                    [samc.read_image(PHOTO)], points_per_side=8, crop_n_layers=1, min_mask_region_area=50, **defaults
                )[0]
        self.assertGreater(len(said), 5)
        ours = json.loads(json.dumps(masks.records("coco_rle")))
        self.assertEqual([r["segmentation"] for r in ours], [r["segmentation"] for r in said])
        self.assertEqual([(r["bbox"], r["point_coords"]) for r in ours], [(r["bbox"], r["point_coords"]) for r in said])


class Outlines(unittest.TestCase):
    def filled(self, rings, shape):
        """Pixels whose centre a ray to the left crosses the rings an odd number of times."""
        inside = np.zeros(shape, int)
        for ring in rings:
            for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0)):
                if x0 == x1:
                    low, high = sorted((int(y0), int(y1)))
                    inside[low:high, int(x0) :] ^= 1
        return inside.astype(bool)

    def test_exact(self):
        masks = [RNG.random(RNG.integers(1, 12, 2)) < p for p in (0.2, 0.5, 0.8, 1) for _ in range(20)]
        masks.append(np.indices((6, 7)).sum(0) % 2 == 0)  # corners that two pixels share
        masks.append(np.zeros((3, 3), bool))
        for mask in masks:
            rings = _polygons.polygons_of_mask(mask, holes=True)
            self.assertTrue(np.array_equal(self.filled(rings, mask.shape), mask))
            outer = _polygons.polygons_of_mask(mask)
            total = sum(_polygons._signed_area(ring) for ring in rings)
            self.assertEqual(total, mask.sum())
            self.assertTrue(all(_polygons._signed_area(ring) > 0 for ring in outer))
            for ring in rings:  # corners alone
                step = np.roll(ring, -1, 0) - ring
                turn = step[:, 0] * np.roll(step, -1, 0)[:, 1] - step[:, 1] * np.roll(step, -1, 0)[:, 0]
                self.assertTrue((turn != 0).all())


class CocoMasks(unittest.TestCase):
    """What pycocotools 2.0.11 gives, written down; tests/python/mask_parity.py compares far more with it."""

    def test_known(self):
        m = samc.mask
        square = np.zeros((5, 6), np.uint8, order="F")
        square[1:4, 2:5] = 1
        rle = m.encode(square)
        self.assertEqual(rle, {"size": [5, 6], "counts": b";320004"})
        self.assertEqual((m.area(rle), m.toBbox(rle).tolist()), (9, [2, 1, 3, 3]))
        self.assertEqual(m.area([rle, rle]).dtype, np.dtype(np.uint32))
        self.assertTrue(np.array_equal(m.decode(rle), square))
        self.assertEqual(m.frPyObjects([[1, 1, 4.5, 1, 4.5, 4, 1, 4]], 5, 6), [m.encode(POLYGON)])
        other = m.frPyObjects([[0, 0, 3, 3]], 5, 6)[0]
        self.assertEqual(m.iou([rle], [other], [0]).tolist(), [[2 / 16]])
        self.assertEqual(m.iou([rle], [other], [1]).tolist(), [[2 / 9]])
        self.assertEqual(m.iou([[0, 0, 2, 2]], [[1, 1, 2, 2.0]], [0]).tolist(), [[1 / 7]])
        self.assertEqual((m.area(m.merge([rle, other])), m.area(m.merge([rle, other], True))), (16, 2))
        self.assertEqual(m.iou([], [rle], []), [])
        with self.assertRaises(ValueError):
            m.decode({"size": [5, 6], "counts": b"~~~"})


POLYGON = np.zeros((5, 6), np.uint8)
POLYGON[1:4, 1:5] = 1


class Archives(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.inputs = self.folder / "in"
        self.inputs.mkdir()
        for i in range(6):
            body = picture(20, 30).tobytes()
            (self.inputs / f"{i}.ppm").write_bytes(b"P6 30 20 255\n" + body)
        self.model = samc.load(TINY, threads=1)

    def auto(self, out, **options):
        options = {"formats": "jsonl,coco", "points_per_side": 3, "batch_images": 1, **LOOSE, **options}
        return samc.auto(self.inputs, self.folder / out, model=self.model, **options)

    def text(self, out):
        return (self.folder / out / "masks.jsonl").read_text(), (self.folder / out / "annotations.json").read_text()

    def test_run(self):
        heard, seen = [], []
        counts = self.auto("a", on_image=seen.append, progress=lambda *news: heard.append(news))
        self.assertEqual((counts.inputs, counts.done, counts.failures), (6, 6, 0))
        self.assertEqual([os.path.basename(image.source) for image in seen], [f"{i}.ppm" for i in range(6)])
        self.assertEqual(sum(image.masks for image in seen), counts.masks)
        self.assertEqual(heard[-1], (6, 6))
        lines = [json.loads(line) for line in self.text("a")[0].splitlines()]
        self.assertEqual([len(line["masks"]) for line in lines], [image.masks for image in seen])
        with self.assertRaises(samc.Mismatch):  # a run is there
            self.auto("a")
        self.assertEqual(self.auto("a", resume=True).before, 6)
        with self.assertRaises(ValueError):
            self.auto("b", formats="bmp")
        with self.assertRaises(TypeError):
            self.auto("b", points="3")

    def test_pages(self):
        """Page 1 is the second, which these images have not; `frame` is another name of it."""
        for i, options in enumerate(({"page": 1}, {"frame": 1}, {"page": 1, "frame": 1})):
            self.assertEqual(self.auto(f"p{i}", **options).failures, 6)
        self.assertEqual(self.auto("p", page=0, frame=0).failures, 0)
        with self.assertRaises(samc.InvalidArgument):
            self.auto("q", page=0, frame=1)

    def test_progress_bar(self):
        class Bar:
            total, n, closed = None, 0, False

            def update(self, more):
                self.n += more

        bar = Bar()
        self.auto("a", progress=bar)
        self.assertEqual((bar.total, bar.n), (6, 6))
        self.auto("b", progress=True)  # tqdm's

    def test_exceptions_end_the_run(self):
        class Enough(Exception):
            pass

        def on_image(image):
            if image.source.endswith("2.ppm"):
                raise Enough

        with self.assertRaises(Enough):
            self.auto("a", on_image=on_image)
        counts = self.auto("a", resume=True)
        self.assertGreaterEqual(counts.before, 3)
        self.auto("b")
        self.assertEqual(self.text("a"), self.text("b"))

    def test_interrupted_as_it_begins(self):
        """Whatever is interrupted, the call returns once the library has."""
        ended, begun, stopped = [], threading.Event(), threading.Event()

        class Interrupted(threading.Thread):
            def start(self):
                super().start()
                begun.wait(60)
                raise KeyboardInterrupt

        class NotStarted(threading.Thread):
            def start(self):
                raise RuntimeError("can't start new thread")

        def work():
            begun.set()
            stopped.wait(60)
            ended.append("work")
            return 0

        with mock.patch.object(samc._session.threading, "Thread", NotStarted):
            with self.assertRaises(RuntimeError):
                samc._session.interruptible(work, stopped.set)
        self.assertEqual(ended, [])

        def stop():
            if not stopped.is_set():
                stopped.set()
                raise KeyboardInterrupt("a second one")

        with mock.patch.object(samc._session.threading, "Thread", Interrupted):
            with self.assertRaises(KeyboardInterrupt) as caught:
                samc._session.interruptible(work, stop)
        self.assertEqual((str(caught.exception), ended), ("", ["work"]))

    def test_an_interrupt_that_comes_too_late(self):
        """It stops nothing else: the next call works, and one that is to be stopped is."""

        def late(work, stop):
            status = work()
            stop()
            raise KeyboardInterrupt(status)

        options = dict(points_per_side=3, **LOOSE)
        with self.model.session() as session:
            expected = session.auto([picture(20, 30)] * 2, **options)
            self.assertEqual(len(expected), 2)
            for _ in range(2):
                with mock.patch.object(samc._session, "interruptible", late), self.assertRaises(KeyboardInterrupt):
                    session.auto([picture(20, 30)], **options)
                self.assertEqual(len(session.auto([picture(20, 30)] * 2, **options)), 2)
            session.stop()
            with self.assertRaises(samc.Stopped):
                session.auto([picture(20, 30)], **options)

    def test_what_fails_early_leaves_nothing_open(self):
        opened = []
        real = samc._archive.load
        with mock.patch.object(samc._archive, "load", lambda path: opened.append(real(path)) or opened[-1]):
            with self.assertRaises(TypeError):
                samc.auto(self.inputs, self.folder / "e", model=TINY, points_per_sight=3)
        self.assertTrue(opened[0].closed)

    def test_control_c(self):
        """SIGINT at an image is a KeyboardInterrupt, and the next run goes on to the same bytes."""

        def on_image(image):
            if image.source.endswith("1.ppm"):
                os.kill(os.getpid(), signal.SIGINT)

        self.assertIs(threading.current_thread(), threading.main_thread())
        with self.assertRaises(KeyboardInterrupt):
            self.auto("a", on_image=on_image, points_per_side=40)
        self.assertEqual(self.auto("a", resume=True, points_per_side=40).done, 6)
        self.auto("b", points_per_side=40)
        self.assertEqual(self.text("a"), self.text("b"))
        session = self.model.session()
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        with self.assertRaises(KeyboardInterrupt):
            timer.start()
            session.auto([picture()], point_grids=[RNG.random((60000, 2))], **LOOSE)
        timer.join()
        session.set_image(picture())  # and is as good as before
        session.predict([[1, 1]])


if __name__ == "__main__":
    unittest.main()
