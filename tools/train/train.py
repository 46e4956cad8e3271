#!/usr/bin/env python3
"""Trains samc-tiny on the sample pool: SAM's recipe in small, for a CPU.

Per step: B pictures with K prompts each, boxes (answered by the single-mask output) and clicks (three masks,
only the best one is taught, and the single mask). Then 0-3 rounds of correction on some of the prompts: a
click on the error region, the previous mask fed back, the single mask taught. Loss per mask: focal-weighted
cross-entropy and dice; the IoU head regresses the true IoU of every mask of every round.

The learning rate follows the trained minutes (cosine), so a busy machine only sees fewer pictures; with
--images it follows the pictures instead, so a busy machine only takes longer. Picture size grows in phases;
position tables are interpolated. Every --save seconds the whole state (weights, EMA,
optimizer moments, step, minutes, random state) goes to RUN/state.pt and the EMA weights to RUN/ema.pt, by
rename, so the run may be killed at any moment; the same command continues it. RUN/log.jsonl is the log.

--ranks N trains in N processes of one thread each, on pictures of their own, with averaged gradients: on two
cores that is nearly twice as fast as one process, where a second thread gained nothing (see README.md).
"""

import argparse
import json
import math
import os
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

from model import build, decode, init, load_resized
from pool import Pool
from prompts import Batches, correction


def mask_loss(lo, t):
    """lo [N, C, h, w] logits, t [N, h, w] soft targets -> loss [N, C], true IoU [N, C]"""
    t, lo = t[:, None], lo.float()
    p = lo.sigmoid()
    bce = F.binary_cross_entropy_with_logits(lo, t.expand_as(lo), reduction="none")
    focal = (bce * (0.25 + 0.75 * (p - t).abs().detach())).mean((-1, -2))
    dice = 1 - (2 * (p * t).sum((-1, -2)) + 1) / (p.sum((-1, -2)) + t.sum((-1, -2)) + 1)
    with torch.no_grad():
        b, g = lo > 0, t > 0.5
        iou = (b & g).sum((-1, -2)).float() / (b | g).sum((-1, -2)).clamp(min=1)
    return 2 * focal + dice, iou


def autocast(on):
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=on)


def first_round(m, emb, t, xy, lab, w_iou, bf16):
    """-> loss, logits [N, 4, h, w], predicted IoU, true IoU"""
    with autocast(bf16):
        lo, q = decode(m, emb, xy, lab)
    q = q.float()
    loss, iou = mask_loss(lo, t)
    box = lab[:, 0] == 2
    best = loss[:, 1:].min(1).values
    click = best + 0.05 * loss[:, 1:].mean(1) + 0.35 * loss[:, 0]
    total = torch.where(box, loss[:, 0] + 0.25 * best, click).mean()
    # the IoU head: value of each mask, and (clicks) which of the three is the best
    total = total + w_iou * (q - iou).pow(2).mean()
    if (~box).any():
        want = F.softmax(iou[~box, 1:] / 0.1, 1)
        total = total + 0.05 * F.cross_entropy(q[~box, 1:] / 0.1, want)
    return total, lo, q, iou


def correction_round(m, emb, t, pts, labs, box_xy, cur, w_iou, bf16, rng, click=True):
    """One more click for every prompt (unless click=False: only the mask is fed back).

    pts [N, T, 2], labs [N, T]: clicks so far; box_xy [N, 2, 2] with NaN where the prompt has no box.
    """
    N, s = t.shape[0], 2  # targets are at half the picture's size
    if click:
        a, b = (cur[:, 0] > 0).numpy(), (t > 0.5).numpy()
        c = [correction(a[i], b[i], rng) for i in range(N)]
        pts = torch.cat([pts, torch.tensor([[[(x + 0.5) * s, (y + 0.5) * s]] for x, y, _ in c])], 1)
        labs = torch.cat([labs, torch.tensor([[v] for _, _, v in c])], 1)
    has = ~box_xy[:, 0, 0].isnan()
    # points first, then either the box's corners or padding, as the prompt encoder orders them
    end_xy = torch.where(has[:, None, None], box_xy, torch.zeros(())).nan_to_num()
    end_lab = torch.where(has[:, None], torch.tensor([[2, 3]]), torch.tensor([[-1, -1]]))
    with autocast(bf16):
        lo, q = decode(m, emb, torch.cat([pts, end_xy], 1), torch.cat([labs, end_lab], 1), cur)
    loss, iou = mask_loss(lo[:, :1], t)
    return loss.mean() + w_iou * (q[:, :1].float() - iou).pow(2).mean(), lo[:, :1].detach().float(), iou, pts, labs


def forward(m, batch, w_iou, bf16, rounds, rng):
    """-> loss, statistics; `rounds` correction rounds on the first half of each picture's prompts."""
    x, t, xy, lab = batch
    B, K = t.shape[:2]
    with autocast(bf16):
        emb = m.image_encoder(x)
    flat = t.flatten(0, 1)
    loss, lo, q, iou = first_round(m, emb, flat, xy.flatten(0, 1), lab.flatten(0, 1), w_iou, bf16)
    box = lab.flatten(0, 1)[:, 0] == 2
    st = {}
    if (~box).any():
        c, p = iou[~box], q[~box]
        sel = c[:, 1:].gather(1, p[:, 1:].argmax(1, True))
        st = dict(orc=c[:, 1:].max(1).values, sel=sel, one=c[:, 0], cal=(p[:, 1:].max(1, True).values - sel))
    if box.any():
        st["box"] = iou[box][:, 0]
    if rounds:
        k = max(1, K // 2)
        part = torch.arange(B * K).view(B, K)[:, :k].flatten()
        bx, ar = box[part], torch.arange(len(part))
        # which mask the user saw: the single one (boxes), else the chosen or the best of the three
        l3 = iou[part, 1:]
        pick = torch.where(torch.rand(len(part)) < 0.7, q[part, 1:].argmax(1), l3.argmax(1)) + 1
        cur = lo[part, torch.where(bx, 0, pick)].detach().float()[:, None]
        px, pl = xy[:, :k].flatten(0, 1), lab[:, :k].flatten(0, 1)
        box_xy = torch.where(bx[:, None, None], px, torch.tensor(float("nan")))
        pts = torch.where(bx[:, None, None], torch.zeros(()), px)[:, :1]
        labs = torch.where(bx, -1, pl[:, 0])[:, None]
        for r in range(rounds):
            # now and then the mask alone is fed back, without a new click
            more, cur, i2, pts, labs = correction_round(
                m,
                emb,
                flat[part][ar],
                pts,
                labs,
                box_xy,
                cur,
                w_iou / 2,
                bf16,
                rng,
                click=not (r and rng.random() < 0.25),
            )
            loss = loss + 0.6 / rounds**0.5 * more
            st[f"fix{r + 1}"] = i2
    return loss, {k: float(v.detach().mean()) for k, v in st.items()} | {"loss": float(loss.detach())}


def optimizers(m, a):
    """Muon for the matrices of the transformer blocks, AdamW for everything else -> [(optimizer, base lr, names)]"""
    hid, mat, rest = [], [], []
    for n, p in m.named_parameters():
        if p.ndim == 2 and (".blocks." in n or "mask_decoder.transformer" in n) and "rel_pos" not in n:
            hid.append((n, p))
        elif p.ndim >= 2 and "pos" not in n and "embed" not in n and "token" not in n:
            mat.append((n, p))
        else:
            rest.append((n, p))
    adam = torch.optim.AdamW(
        [{"params": [p for _, p in mat], "weight_decay": a.wd}, {"params": [p for _, p in rest], "weight_decay": 0.0}],
        lr=a.lr,
        betas=(0.9, 0.98),
        fused=True,
    )
    muon = torch.optim.Muon(
        [p for _, p in hid], lr=a.muon_lr, weight_decay=a.wd, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    return [(adam, a.lr, [n for n, _ in mat + rest]), (muon, a.muon_lr, [n for n, _ in hid])]


def moments(opts):
    """Optimizer state by parameter name: survives a change of picture size."""
    out = {}
    for o, _, names in opts:
        out.update({names[i]: s for i, s in o.state_dict()["state"].items()})
    return out


def set_moments(opts, saved):
    for o, _, names in opts:
        sd, params = o.state_dict(), [p for g in o.param_groups for p in g["params"]]
        for i, n in enumerate(names):
            s = saved.get(n)
            if s and all(not torch.is_tensor(v) or v.ndim == 0 or v.shape == params[i].shape for v in s.values()):
                sd["state"][i] = s
        o.load_state_dict(sd)


class Threads:
    """Number of threads: fixed, or (0) one or two, whichever was faster lately on a machine shared with others.

    Two threads wait for each other at every operation, so on a busy machine one is often faster.
    """

    def __init__(self, n):
        self.fixed, self.i, self.cost = n, 0, {1: [], 2: []}
        self.now = n or 2
        torch.set_num_threads(self.now)

    def step(self, seconds):
        if self.fixed:
            return
        self.cost[self.now].append(seconds)
        self.i += 1
        phase = self.i % 48
        want = 1 if phase < 8 else 2 if phase < 16 else self.now
        if phase == 16:  # compare the two trials
            want = min((1, 2), key=lambda n: float(np.median(self.cost[n])))
        if phase == 0:
            self.cost = {1: [], 2: []}
        if want != self.now:
            self.now = want
            torch.set_num_threads(want)


def average_gradients(m):
    """Mean over the ranks; a parameter this step did not use counts as zero on every rank."""
    params = list(m.parameters())
    flat = torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in params])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for p, g in zip(params, flat.split([p.numel() for p in params])):
        p.grad = g.view_as(p)


def save(path, obj):
    torch.save(obj, path + ".tmp")
    os.replace(path + ".tmp", path)


@torch.no_grad()
def held_out(ema, cfg, folder, n, bf16):
    """Mean IoUs of the EMA weights on n fixed samples of the held-out pool."""
    m = load_resized(ema, build(**cfg)).eval()
    it, tot = iter(Batches([folder], cfg["img"], 4, 8, 0.35, 7, 0, rescan=0)), {}
    torch.manual_seed(0)
    for i in range(n // 4):
        _, st = forward(m, next(it), 1.0, bf16, 2, np.random.default_rng(i))
        for k, v in st.items():
            tot.setdefault(k, []).append(v)
    return {k: round(float(np.mean(v)), 4) for k, v in tot.items()}


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("run", help="folder of this run: state.pt, ema.pt, log.jsonl")
    ap.add_argument("--pool", action="append", required=True, help="sample pool folder (may be given several times)")
    ap.add_argument("--held", help="pool of held-out samples, evaluated now and then")
    goal = ap.add_mutually_exclusive_group(required=True)
    goal.add_argument("--minutes", type=float, help="training time in all")
    goal.add_argument("--images", type=int, help="pictures to train on in all, however long that takes")
    ap.add_argument(
        "--phases",
        default="192:6:8:.6,256:4:8:.4",
        help="size : pictures a step : prompts a picture : share of --minutes or --images",
    )
    ap.add_argument("--init", help="checkpoint to start from")
    ap.add_argument("--lr", type=float, default=1.5e-3, help="AdamW")
    ap.add_argument("--muon-lr", type=float, default=4e-3)
    ap.add_argument("--wd", type=float, default=0.05)
    ap.add_argument("--warm", type=int, default=150, help="warm-up steps")
    ap.add_argument("--ema", type=float, default=0.998)
    ap.add_argument("--boxes", type=float, default=0.38, help="share of box prompts")
    ap.add_argument("--rounds", default=".5,.25,.15,.1", help="probability of 0, 1, 2, 3 correction rounds")
    ap.add_argument("--w-iou", type=float, default=3.0, help="weight of the IoU loss")
    ap.add_argument("--save", type=float, default=180, help="seconds between checkpoints")
    ap.add_argument("--check", type=float, default=900, help="seconds between evaluations on the held-out pool")
    ap.add_argument("--wait", type=int, default=2000, help="start when the pool has this many samples")
    ap.add_argument("--threads", type=int, default=0, help="0: one or two, whichever is faster at the moment")
    ap.add_argument(
        "--ranks", type=int, default=1, help="processes; the pictures a step of --phases are for each of them"
    )
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--fp32", action="store_true", help="no bfloat16")
    return ap.parse_args()


def train(rank, a):
    threads = Threads(1 if a.ranks > 1 else a.threads)
    if a.ranks > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{os.path.abspath(a.run)}/rendezvous", rank=rank, world_size=a.ranks
        )
    parent = os.getppid()
    torch.manual_seed(a.seed)
    log = open(os.path.join(a.run, "log.jsonl") if rank == 0 else os.devnull, "a")

    def say(**kw):
        log.write(json.dumps(dict(time=time.strftime("%H:%M:%S"), **kw)) + "\n")
        log.flush()

    state_path, ema_path = os.path.join(a.run, "state.pt"), os.path.join(a.run, "ema.pt")
    st = torch.load(state_path, weights_only=False) if os.path.exists(state_path) else None
    say(event="start", resumed=bool(st), args=vars(a))
    while len(Pool(a.pool)) < a.wait:
        time.sleep(5)
    bf16, rounds_p = not a.fp32, np.array([float(x) for x in a.rounds.split(",")])
    phases = [[float(y) for y in x.split(":")] for x in a.phases.split(",")]
    shares = np.cumsum([p[3] for p in phases]) / sum(p[3] for p in phases)
    step, seen, spent, weights, ema, mom = 0, 0, 0.0, None, None, {}
    base = dict(patch=8, dim=192, depth=8, heads=3, glob=(2, 5, 7))
    if st:
        step, seen, spent, weights, ema, mom = (st[k] for k in ("step", "seen", "spent", "model", "ema", "moments"))
        torch.set_rng_state(st["rng"])
        base = st["base"]
    elif a.init:
        c = torch.load(a.init, map_location="cpu", weights_only=False)
        base = {k: v for k, v in c["cfg"].items() if k != "img"}
        weights = ema = c["model"]

    def progress():
        return seen / a.images if a.images else spent / (a.minutes * 60)

    for (R, B, K, _), end in zip(phases, shares):
        R, B, K = int(R), int(B), int(K)
        if progress() >= end:
            continue
        cfg = dict(base, img=R)
        m = build(**cfg)
        if weights is None:
            init(m)
            ema = m.state_dict()
        else:
            load_resized(weights, m)
        e = build(**cfg)
        ema = {k: v.clone() for k, v in load_resized(ema, e).state_dict().items()}
        m.train()
        opts = optimizers(m, a)
        set_moments(opts, mom)
        data = iter(
            torch.utils.data.DataLoader(
                Batches(a.pool, R, B, K, a.boxes, a.seed + 1000 * rank, step),
                batch_size=None,
                num_workers=1,
                prefetch_factor=4,
            )
        )

        def checkpoint():
            save(
                state_path,
                dict(
                    model=m.state_dict(),
                    ema=ema,
                    moments=moments(opts),
                    step=step,
                    seen=seen,
                    spent=spent,
                    rng=torch.get_rng_state(),
                    base=base,
                ),
            )
            save(ema_path, dict(model=ema, cfg=cfg, step=step, images=seen, minutes=spent / 60))

        acc, t0, last_save, last_check, mark = {}, time.time(), time.time(), time.time(), (time.time(), seen)
        while progress() < end:
            if a.ranks > 1 and os.getppid() != parent:  # killed: the ranks must not go on without it
                raise SystemExit("the process that started this rank is gone")
            batch = next(data)
            k = min(1, (step + 1) / a.warm) * (0.5 * (1 + math.cos(math.pi * min(1, progress()))) * 0.985 + 0.015)
            for o, lr, _ in opts:
                for g in o.param_groups:
                    g["lr"] = lr * k
            rng = np.random.default_rng([a.seed, step, 1])
            loss, stats = forward(
                m, batch, a.w_iou, bf16, int(rng.choice(len(rounds_p), p=rounds_p / rounds_p.sum())), rng
            )
            loss.backward()
            if a.ranks > 1:
                average_gradients(m)
            norm = float(torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0))
            for o, _, _ in opts:
                if math.isfinite(norm):
                    o.step()
                o.zero_grad(set_to_none=True)
            step, seen = step + 1, seen + B * a.ranks
            with torch.no_grad():
                sd, d = m.state_dict(), min(a.ema, (1 + step) / (10 + step))
                torch._foreach_lerp_([ema[n] for n in sd], [sd[n] for n in sd], 1 - d)
            for n, v in stats.items():
                acc.setdefault(n, []).append(v)
            now = time.time()
            threads.step(now - t0)
            spent, t0 = spent + min(now - t0, 60), now  # a paused process does not train
            if step % 25 == 0:
                say(
                    step=step,
                    images=seen,
                    minutes=round(spent / 60, 2),
                    size=R,
                    rate=round((seen - mark[1]) / (now - mark[0]), 2),
                    lr=round(k, 4),
                    norm=round(norm, 2),
                    threads=threads.now,
                    **{n: round(float(np.mean(v)), 4) for n, v in acc.items()},
                )
                acc, mark = {}, (now, seen)
            if rank == 0 and now - last_save > a.save:
                checkpoint()
                last_save = now
            if rank == 0 and a.held and now - last_check > a.check:
                say(
                    event="held",
                    step=step,
                    images=seen,
                    minutes=round(spent / 60, 2),
                    **held_out(ema, cfg, a.held, 64, bf16),
                )
                last_check = t0 = time.time()
        if rank == 0:
            checkpoint()
        weights, mom = {k: v.clone() for k, v in m.state_dict().items()}, moments(opts)
        del data
    say(event="end", step=step, images=seen, minutes=round(spent / 60, 2))


def main():
    a = arguments()
    if a.ranks > 1 and not a.images:
        raise SystemExit("--ranks needs --images: the ranks' clocks differ, and all must end at the same step")
    os.makedirs(a.run, exist_ok=True)
    if a.ranks == 1:
        return train(0, a)
    meeting = os.path.join(a.run, "rendezvous")
    if os.path.exists(meeting):  # of a run that was killed
        os.remove(meeting)
    torch.multiprocessing.spawn(train, (a,), a.ranks)


if __name__ == "__main__":
    main()
