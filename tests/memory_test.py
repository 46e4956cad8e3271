"""How much memory a model takes that is opened in bf16, and while it is opened, by what the kernel says is resident.

The model has half the widths and cells of ViT-B, which leaves the shares of its tensors as they are; whatever its
file is, in bf16 it takes at most 0.55 of what it takes in f32, at most 1.1 of that on the way there, and no more than
is said of its weights.
"""

import os
import platform
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases"))
import checkpoint_files

PROGRAM, SAMC = sys.argv[1:3]
RUNG = "avx2" if platform.machine() == "x86_64" else "neon"
AFTER, DURING, BESIDE = 0.55, 1.1, 4 << 20  # beside weights: the folded upscaling, names, code that was run


def opened(path, precision):
    """Bytes resident after opening it, the most on the way, and what samc_model_info says."""
    environment = {**os.environ, "SAMC_CPU_CAPS": RUNG}
    out = subprocess.run([PROGRAM, "open", path, precision], env=environment, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return [int(word) for word in out.stdout.split()]


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        files = {kind: os.path.join(folder, kind) for kind in ("f32", "f16", "bf16", "pth")}
        subprocess.run([PROGRAM, "make", files["f32"]], check=True)
        for kind in ("f16", "bf16"):
            subprocess.run([SAMC, "convert", files["f32"], "-o", files[kind], "--dtype", kind, "-q"], check=True)
        with open(files["pth"], "wb") as file:
            file.write(checkpoint_files.pth(checkpoint_files.state_of(files["f32"])))
        for kind, path in files.items():
            whole, most, said = opened(path, "f32")
            print(f"{kind} file in f32: {whole / 1e6:.1f} MB, on the way {most / 1e6:.1f} MB, said {said / 1e6:.1f} MB")
            after, during, said = opened(path, "bf16")
            good = after <= AFTER * whole and during <= DURING * whole and after <= said + BESIDE
            failures += not good
            print(
                f"{kind} file in bf16: {after / 1e6:.1f} MB ({after / whole:.3f}, at most {AFTER}), on the way "
                f"{during / 1e6:.1f} MB ({during / whole:.3f}, at most {DURING}), said {said / 1e6:.1f} MB"
                f"{'' if good else '  FAIL'}"
            )
    return 1 if failures else 0


sys.exit(main())
