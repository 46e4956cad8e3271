"""SAM 2's files as people have them: its own names and Hugging Face's, with the modules for video and without; what no
tensor tells, and who tells it; options that are its own.
"""

import json
import os

from cases_checkpoints import Checkpoint, put
from checkpoint_files import DATA, Tensor, floats, pth, safetensors, state_of
from cli_test import PHOTO, read

FILE = os.path.join(DATA, "golden_sam2", "tiny.safetensors")
CONFIG = {
    "img_size": 160,
    "num_heads": 1,
    "window_spec": [8, 4, 6, 3],
    "global_att_blocks": [4],
    "decoder_num_heads": 4,
}
VIDEO = "SAM 2's memory for video (%d tensors) is passed over: samc does images"


def huggingface(state):
    """The names of transformers' Sam2Model, by rules of our own: the inverse of what samc has to do."""
    out, points = {}, {}
    for name, tensor in state.items():
        head, _, rest = name.partition(".")
        for old, new in ((".norm1.", ".layer_norm1."), (".norm2.", ".layer_norm2.")):
            rest = rest.replace(old, new)
        if head == "image_encoder":
            rest = rest.replace("trunk.patch_embed.proj.", "backbone.patch_embed.projection.")
            rest = rest.replace("trunk.", "backbone.").replace(".mlp.layers.0.", ".mlp.proj_in.")
            rest = rest.replace(".mlp.layers.1.", ".mlp.proj_out.")
            if rest.startswith("neck.convs."):
                rest = rest.replace(".conv.", ".")
            out["vision_encoder." + rest] = tensor
        elif head == "sam_prompt_encoder":
            if rest.startswith("point_embeddings."):
                points[rest.split(".")[1]] = tensor
                continue
            if rest.endswith("gaussian_matrix"):
                out["shared_image_embedding.positional_embedding"] = tensor
                out["prompt_encoder.shared_embedding.positional_embedding"] = tensor
                continue
            layers = {"0": "conv1", "1": "layer_norm1", "3": "conv2", "4": "layer_norm2", "6": "conv3"}
            for old, new in layers.items():
                rest = rest.replace(f"mask_downscaling.{old}.", f"mask_embed.{new}.")
            out["prompt_encoder." + rest] = tensor
        elif head == "sam_mask_decoder":
            for old, new in (("0", "upscale_conv1"), ("1", "upscale_layer_norm"), ("3", "upscale_conv2")):
                rest = rest.replace(f"output_upscaling.{old}.", f"{new}.")
            for old, new in ((".norm3.", ".layer_norm3."), (".norm4.", ".layer_norm4."), ("out_proj", "o_proj")):
                rest = rest.replace(old, new)
            rest = rest.replace("norm_final_attn", "layer_norm_final_attn")
            rest = rest.replace(".mlp.layers.0.", ".mlp.proj_in.").replace(".mlp.layers.1.", ".mlp.proj_out.")
            if not rest.startswith("transformer."):
                for old, new in (("0", "proj_in"), ("1", "layers.0"), ("2", "proj_out")):
                    rest = rest.replace(f".layers.{old}.", f".!{new}.")
            out["mask_decoder." + rest.replace("!", "")] = tensor
        elif head == "no_mem_embed":
            out["no_memory_embedding"] = tensor
        else:
            out[name] = tensor
    width = points["0"].shape[1]
    out["prompt_encoder.point_embed.weight"] = Tensor("F32", (4, width), b"".join(points[k].data for k in "0123"))
    return out


def config_json(model_type="sam2", **backbone):
    return {
        "model_type": model_type,
        "vision_config": {
            "backbone_config": {
                "hidden_size": 8,
                "num_attention_heads": 1,
                "blocks_per_stage": [1, 2, 3, 2],
                "window_size_per_stage": [8, 4, 6, 3],
                "global_attention_blocks": [4],
                "num_query_pool_stages": 3,
                "hidden_act": "gelu",
                "layer_norm_eps": 1e-06,
                **backbone,
            },
            "fpn_hidden_size": 32,
        },
        "prompt_encoder_config": {
            "hidden_size": 32,
            "image_size": 160,
            "mask_input_channels": 16,
            "hidden_act": "gelu",
        },
        "mask_decoder_config": {
            "hidden_size": 32,
            "hidden_act": "gelu",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "mlp_dim": 64,
            "attention_downsample_rate": 2,
            "num_multimask_outputs": 3,
            "iou_head_depth": 3,
            "iou_head_hidden_dim": 32,
        },
    }


class Sam2(Checkpoint):
    def file(self, state=None, **config):
        return safetensors(state or state_of(FILE), {"samc.config": json.dumps({**CONFIG, **config})})

    def hub(self, state, config, **more):
        os.makedirs(self.at("hub"), exist_ok=True)
        put(self.at("hub/model.safetensors"), safetensors(state))
        for name, value in {"config": config, **more}.items():
            put(self.at(f"hub/{name}.json"), json.dumps(value).encode())
        return self.at("hub")

    def test_names_of_others(self):
        own = self.result(self.file())
        self.assertEqual(own[2], [VIDEO % 2])
        state = {n: t for n, t in state_of(FILE).items() if n not in ("maskmem_tpos_enc", "no_mem_pos_enc")}
        theirs = huggingface(state)
        processor = {"image_processor_type": "Sam2ImageProcessorFast", "size": {"height": 160, "width": 160}}
        self.assertEqual(self.result_of(self.hub(theirs, config_json(), preprocessor_config=processor)), (*own[:2], []))
        video = {**theirs, "memory_attention.layers.0.linear1.weight": floats(3), "no_object_pointer": floats(1, 32)}
        self.assertEqual(self.result_of(self.hub(video, config_json("sam2_video")))[2], [VIDEO % 2])
        self.assertEqual(self.result_of(self.at("hub"))[:2], own[:2])

    def test_what_it_converts_to(self):
        own = self.result(self.file())
        self.good("convert", self.at("model"), "-o", self.at("c.safetensors"))
        self.assertEqual(self.result_of(self.at("c.safetensors")), (*own[:2], []))
        # What no tensor tells, told by the caller: the size of a wrapped checkpoint without its metadata's.
        config = {key: value for key, value in CONFIG.items() if key != "img_size"}
        put(self.at("b"), safetensors(state_of(FILE), {"samc.config": json.dumps(config)}))
        self.good("convert", self.at("b"), "-o", self.at("d.safetensors"), "--image-size", "160")
        self.assertEqual(self.result_of(self.at("d.safetensors")), (*own[:2], []))

    def test_what_no_tensor_tells(self):
        self.refused(
            "a Hiera of width 8 and 8 blocks, which none of SAM 2's is: no tensor tells its num_heads window_spec "
            "global_att_blocks, and neither metadata samc.config nor a config.json beside it does",
            pth({"model": state_of(FILE)}),
        )
        for wrong, expected in (
            ({"stages": [1, 2, 2, 3]}, "says stages 2, the tensors say 3"),
            ({"window_spec": [7, 4, 6, 3]}, "says window_spec 7, the tensors say 8"),
            ({"window_spec": [8, 4, 5, 3]}, "window_spec 5 is not a multiple of 2"),
            ({"window_spec": [8, 4]}, "window_spec is not a list of four numbers"),
            ({"global_att_blocks": [8]}, "global_att_blocks is not a list of whole numbers"),
            ({"img_size": 168}, "img_size 168 is not a multiple of 32"),
            ({"q_pool": 2}, "says q_pool 2, the tensors say 3"),
            ({"preprocess": {"resize": "longest_side"}}, "no encoder of samc is used with the model's recipe"),
            ({"preprocess": {"masks": "via_square"}}, "no encoder of samc is used with the model's recipe"),
        ):
            self.refused(expected, self.file(**wrong))
        folder = self.hub(huggingface(state_of(FILE)), config_json("sam"))
        self.failure("says model_type \"sam\"; weights of SAM 2 are wanted", "info", folder)
        folder = self.hub(huggingface(state_of(FILE)), config_json(num_query_pool_stages=2))
        self.failure("vision_config.backbone_config.num_query_pool_stages 2, the tensors say 3", "info", folder)

    def test_what_is_missing_or_misshapen(self):
        state = state_of(FILE)
        for name in ("sam_mask_decoder.obj_score_token.weight", "sam_mask_decoder.conv_s1.bias", "no_mem_embed"):
            self.refused("", self.file({n: t for n, t in state.items() if n != name}))
        misshapen = {**state, "sam_mask_decoder.pred_obj_score_head.layers.2.weight": floats(2, 32)}
        self.refused("mask_decoder.pred_obj_score_head.layers.2.weight", self.file(misshapen))

    def test_an_image_size_beside_others(self):
        """A folder says a size in two files; the caller's is the one that counts."""
        processor = {"image_processor_type": "Sam2ImageProcessorFast", "size": {"height": 160, "width": 160}}
        folder = self.hub(huggingface(state_of(FILE)), config_json(), preprocessor_config=processor)
        put(self.at("own"), self.file(img_size=128))
        self.assertEqual(self.result_of(self.at("own"))[:2], self.result_of(folder, "--image-size", "128")[:2])

    def test_an_image_size_of_another_family(self):
        out, _ = self.good("info", os.path.join(DATA, "golden_efficientvit", "tiny.safetensors"), "--image-size", "100")
        self.assertIn(b"image         100 x 100, ", out)

    def test_an_image_size_that_tensors_tell(self):
        self.failure(
            "its images have 144 x 144 pixels, which its tensors say; not 160 x 160",
            *("info", os.path.join(DATA, "golden", "tiny.safetensors"), "--image-size", "160"),
        )

    def test_an_object_score_that_is_no_number(self):
        name, state = "sam_mask_decoder.pred_obj_score_head.layers.2.bias", state_of(FILE)
        put(self.at("model"), self.file({**state, name: floats(float("nan"))}))
        expected = "gave an object score with NaN or infinite values; its tensor mask_decoder.pred_obj_score_head."
        self.failure(expected, "segment", PHOTO, "--model", self.at("model"), "--point", "12,9", "-o", self.at("one"))
        auto = ("auto", PHOTO, "--model", self.at("model"), "--points-per-side", "2", "-o")
        self.failure(expected, *auto, self.at("three"))
        self.failure(expected, *auto, self.at("again"), "--use-m2m")

    def test_automatic_masks(self):
        put(self.at("model"), self.file())
        found = {}
        for name, options in (("three", ()), ("one", ("--no-multimask",)), ("again", ("--use-m2m",))):
            self.good(
                *("auto", PHOTO, "-o", self.at(name), "--model", self.at("model"), "--points-per-side", "4", *options),
                *("--stability-score-thresh", "0.5", "--format", "rle", "--stats", self.at("stats.json")),
            )
            with open(self.at("stats.json")) as file:
                self.assertEqual(json.load(file)[0]["masks"], 16 if name == "one" else 48)
            found[name] = json.loads(read(self.at(f"{name}/{os.path.basename(PHOTO)}.json")))
            self.assertTrue(all("object_score" in mask for mask in found[name]))
        self.assertNotEqual(found["three"], found["again"])
        # A run is gone on with by the same options alone.
        again = ("auto", PHOTO, "-o", self.at("again"), "--model", self.at("model"), "--points-per-side", "4")
        again += ("--stability-score-thresh", "0.5", "--format", "rle", "--resume")
        self.failure("use-m2m", *again)
        self.failure("image_size=128", *again, "--use-m2m", "--image-size", "128")
        self.good(*again, "--use-m2m", "--image-size", "160")  # which is the file's own
