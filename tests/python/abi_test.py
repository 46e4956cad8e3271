#!/usr/bin/env python3
"""The package's declarations are the C headers': the generated file is that of today's headers, and every struct has
the size and the offsets that the compiler gives it. Python 3.9 can parse all of the package."""

import ast
import ctypes
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "python"))


class Declarations(unittest.TestCase):
    def test_generated_file_is_current(self):
        done = subprocess.run(
            [sys.executable, SOURCE / "tools/python_abi.py", "--check"], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_structs_are_the_compilers(self):
        from samc import _abi

        lines = []
        for struct in _abi.STRUCTS:
            name = struct.__name__
            lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
            lines += [f'printf("{name}.{f} %zu\\n", offsetof({name}, {f}));' for f, *_ in struct._fields_]
        program = "#include <stdio.h>\n#include <samc_io.h>\nint main(void) {\n" + "\n".join(lines) + "\n}\n"
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "sizes.c").write_text(program)
            includes = [f"-I{SOURCE}/runtime", f"-I{SOURCE}/host/io"]
            subprocess.run(["cc", *includes, f"{folder}/sizes.c", "-o", f"{folder}/sizes"], check=True)
            said = subprocess.run([f"{folder}/sizes"], capture_output=True, text=True, check=True).stdout.splitlines()
        ours = []
        for struct in _abi.STRUCTS:
            ours.append(f"{struct.__name__} {ctypes.sizeof(struct)}")
            ours += [f"{struct.__name__}.{f} {getattr(struct, f).offset}" for f, *_ in struct._fields_]
        self.assertGreater(len(ours), 150)
        self.assertEqual(ours, said)

    def test_typed_names_are_the_structs(self):
        import samc
        from samc import _abi

        infos = (
            (samc.ModelInfo, _abi.samc_model_info),
            (samc.Machine, _abi.samc_machine),
            (samc.DetectorInfo, _abi.samc_detector_info),
        )
        for kind, struct in infos:
            self.assertEqual(list(kind.__annotations__), [f for f, *_ in struct._fields_ if f != "size"])
        for kind, struct in ((samc.AutoRun, _abi.samc_archive_counts), (samc.Memory, _abi.samc_memory)):
            self.assertEqual(list(kind._fields), [f for f, *_ in struct._fields_ if f != "size"])


class Syntax(unittest.TestCase):
    def test_python_3_9(self):
        for path in (SOURCE / "python").rglob("*.py"):
            ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))

    def test_annotations_stay_text(self):
        # Unions by | and generic built-ins are evaluated nowhere before 3.10.
        for path in (SOURCE / "python").rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if any(isinstance(node, (ast.FunctionDef, ast.AnnAssign)) for node in ast.walk(tree)):
                self.assertIn("from __future__ import annotations", path.read_text(encoding="utf-8"), str(path))


if __name__ == "__main__":
    os.chdir(tempfile.gettempdir())
    unittest.main()
