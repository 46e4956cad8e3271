"""The samc-tiny network, built from the unmodified modules of segment_anything.

Trained with patch 8 at 256 pixels (32 x 32 tokens); export.py turns that into the standard patch 16 at 512
pixels without loss. A checkpoint is a dict: model (state dict), cfg (arguments of build), step, images.
"""

from functools import partial

import torch
import torch.nn.functional as F
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def build(img=256, patch=8, dim=192, depth=8, heads=3, glob=(2, 5, 7), win=8, P=128):
    """Sam with the given image size; P is the width of the prompt encoder and mask decoder."""
    g = img // patch
    enc = ImageEncoderViT(
        img_size=img,
        patch_size=patch,
        embed_dim=dim,
        depth=depth,
        num_heads=heads,
        mlp_ratio=4,
        out_chans=P,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_abs_pos=True,
        use_rel_pos=True,
        rel_pos_zero_init=True,
        window_size=win,
        global_attn_indexes=tuple(glob),
    )
    pe = PromptEncoder(embed_dim=P, image_embedding_size=(g, g), input_image_size=(img, img), mask_in_chans=16)
    two = TwoWayTransformer(depth=2, embedding_dim=P, mlp_dim=4 * P if P < 256 else 2048, num_heads=8)
    md = MaskDecoder(
        num_multimask_outputs=3, transformer=two, transformer_dim=P, iou_head_depth=3, iou_head_hidden_dim=P
    )
    return Sam(enc, pe, md, MEAN, STD)


def init(m):
    """Small residual branches, so that a short run from nothing starts at once."""
    for n, p in m.image_encoder.named_parameters():
        if p.ndim == 2 and "rel_pos" not in n:
            nn.init.trunc_normal_(p, std=0.02)
        elif n.endswith("bias"):
            nn.init.zeros_(p)
    nn.init.trunc_normal_(m.image_encoder.pos_embed, std=0.02)
    for b in m.image_encoder.blocks:
        b.attn.proj.weight.data *= 0.3
        b.mlp.lin2.weight.data *= 0.3


def load_resized(sd, m):
    """Load a state dict of another image size: absolute and relative position tables are interpolated."""
    want, out = m.state_dict(), {}
    for k, v in sd.items():
        v = v.float()
        if want[k].shape != v.shape:
            if "pos_embed" in k:  # 1 x g x g x dim
                v = F.interpolate(v.permute(0, 3, 1, 2), want[k].shape[1:3], mode="bicubic").permute(0, 2, 3, 1)
            elif "rel_pos" in k:  # (2g - 1) x head dim
                v = F.interpolate(v.t()[None], want[k].shape[0], mode="linear")[0].t()
            else:
                raise ValueError(f"{k}: {tuple(v.shape)} does not fit {tuple(want[k].shape)}")
        out[k] = v.contiguous()
    m.load_state_dict(out)
    return m


def infer_cfg(sd):
    """The arguments of build from the shapes of a standard SAM state dict."""
    e = "image_encoder."
    patch, dim = sd[e + "patch_embed.proj.weight"].shape[-1], sd[e + "patch_embed.proj.weight"].shape[0]
    g, depth = sd[e + "pos_embed"].shape[1], 1 + max(int(k.split(".")[2]) for k in sd if k.startswith(e + "blocks."))
    rel = [sd[f"{e}blocks.{i}.attn.rel_pos_h"].shape for i in range(depth)]
    return dict(
        img=g * patch,
        patch=patch,
        dim=dim,
        depth=depth,
        heads=dim // rel[0][1],
        glob=tuple(i for i, r in enumerate(rel) if r[0] == 2 * g - 1),
        win=(min(r[0] for r in rel) + 1) // 2,
        P=sd[e + "neck.0.weight"].shape[0],
    )


def load(path, img=None):
    """A training checkpoint or a standard .pth -> (Sam in eval mode, checkpoint dict); img: another picture size."""
    c = torch.load(path, map_location="cpu", weights_only=True)
    if "cfg" not in c:
        c = dict(model=c, cfg=infer_cfg(c))
    cfg = dict(c["cfg"], **({"img": img} if img else {}))
    return load_resized(c["model"], build(**cfg)).eval(), c


def embed_points(pe, xy, lab):
    """Sparse prompts of a whole batch at once, as segment_anything's PromptEncoder embeds them.

    xy [N, T, 2] pixels; lab [N, T]: -1 padding, 0/1 background/foreground point, 2/3 box corners.
    """
    e = pe.pe_layer.forward_with_coords(xy + 0.5, pe.input_image_size)
    w = torch.stack([pe.not_a_point_embed.weight[0]] + [x.weight[0] for x in pe.point_embeddings])[lab + 1]
    return e * (lab >= 0)[..., None] + w


def decode(m, emb, xy, lab, mask=None):
    """K prompts for each of B pictures in one pass; equals segment_anything's decoder (export.py checks it).

    emb [B, P, g, g]; xy, lab [B*K, T(, 2)]; mask None or [B*K, 1, 4g, 4g] logits of an earlier round
    -> logits [B*K, 4, 4g, 4g], predicted IoU [B*K, 4]; output 0 is the single mask, 1..3 the three masks.
    """
    pe, md = m.prompt_encoder, m.mask_decoder
    N, (B, P, g, _) = xy.shape[0], emb.shape
    dense = pe.no_mask_embed.weight.reshape(1, -1, 1, 1) if mask is None else pe._embed_masks(mask)
    tok = torch.cat([md.iou_token.weight, md.mask_tokens.weight])[None].expand(N, -1, -1)
    tok = torch.cat([tok, embed_points(pe, xy, lab)], 1)
    src = emb.repeat_interleave(N // B, 0) + dense
    hs, src = md.transformer(src, pe.get_dense_pe().expand(N, -1, -1, -1), tok)
    up = md.output_upscaling(src.transpose(1, 2).reshape(N, P, g, g))
    hyper = torch.stack([md.output_hypernetworks_mlps[i](hs[:, 1 + i]) for i in range(4)], 1)
    return (hyper @ up.flatten(2)).unflatten(2, up.shape[2:]), md.iou_prediction_head(hs[:, 0])
