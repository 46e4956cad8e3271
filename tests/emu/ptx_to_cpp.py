#!/usr/bin/env python3
"""Translate the PTX that nvcc emits into C++ that runs on the emulation's fibers.

    ptx_to_cpp.py [--strict] kernels.ptx -o kernels_ptx.cc

What is tested is then what nvcc made of the kernel, inline assembly included, and no second meaning of the source is
needed. Every .entry becomes a function and an entry of the table that leads from the host's kernel symbol to it.
Registers become variables, branches become gotos, shared memory becomes offsets into the block's buffer, checked at
every access. Line information (nvcc -lineinfo) makes reports name the kernel's source. An instruction without a
translation is listed here and ends the process if it is ever executed; --strict makes it an error at once.
"""

import argparse
import re
import sys

TYPES = {
    "u8": "uint8_t",
    "s8": "int8_t",
    "b8": "uint8_t",
    "u16": "uint16_t",
    "s16": "int16_t",
    "b16": "uint16_t",
    "f16": "uint16_t",
    "bf16": "uint16_t",
    "u32": "uint32_t",
    "s32": "int32_t",
    "b32": "uint32_t",
    "f32": "float",
    "u64": "uint64_t",
    "s64": "int64_t",
    "b64": "uint64_t",
    "f64": "double",
    "pred": "bool",
    "f16x2": "uint32_t",
    "bf16x2": "uint32_t",
}
WIDER = {"uint16_t": "uint32_t", "int16_t": "int32_t", "uint32_t": "uint64_t", "int32_t": "int64_t"}
SPECIAL = {
    "tid": "emu::now.self->index",
    "ctaid": "emu::now.block",
    "ntid": "emu::now.block_size",
    "nctaid": "emu::now.grid_size",
}
COMPARE = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "lo": "<",
    "ls": "<=",
    "hi": ">",
    "hs": ">=",
    "equ": "==",
    "neu": "!=",
    "ltu": "<",
    "leu": "<=",
    "gtu": ">",
    "geu": ">=",
}
BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%", "and": "&", "or": "|", "xor": "^"}
FUNCTION = {
    "ex2": "exp2f({})",
    "lg2": "log2f({})",
    "rsqrt": "(1.0f / sqrtf({}))",
    "rcp": "(1.0f / {})",
    "sin": "sinf({})",
    "cos": "cosf({})",
    "tanh": "tanhf({})",
}
ATOMIC = {
    "add": "old + operand",
    "min": "std::min(old, operand)",
    "max": "std::max(old, operand)",
    "exch": "operand",
    "and": "old & operand",
    "or": "old | operand",
    "xor": "old ^ operand",
}


class Untranslatable(Exception):
    pass


def split_operands(text):
    """Splits at commas outside brackets."""
    parts, depth, part = [], 0, ""
    for c in text:
        depth += c in "{[("
        depth -= c in "}])"
        if c == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += c
    return parts + [part.strip()] if part.strip() else parts


def elements(operand):
    """{%r1,%r2} -> [%r1, %r2]; %r1 -> [%r1]."""
    return [x.strip() for x in operand[1:-1].split(",")] if operand.startswith("{") else [operand]


def name_of(register):
    return register.replace("%", "").replace("$", "_")


class Kernel:
    def __init__(self, name, parameters, files):
        self.name = name
        self.parameters = parameters
        self.files = files  # number -> path
        self.locals = set()
        self.shared_symbols = set()
        self.site_id = 0
        self.file, self.line = 0, 0

    def site(self):
        path = self.files.get(self.file, "ptx").split("/kernels/")
        path = "kernels/" + path[-1] if len(path) > 1 else path[0]
        return f'emu::Site{{"{path}", {self.line}, {self.site_id}}}'

    def value(self, operand, ctype):
        """An operand read as a C type."""
        if re.match(r"^0[fF][0-9a-fA-F]{8}$", operand):
            return f"as<{ctype}>(emu::bits<float>(0x{operand[2:]}u))"
        if re.match(r"^0[dD][0-9a-fA-F]{16}$", operand):
            return f"as<{ctype}>(emu::bits<double>(UINT64_C(0x{operand[2:]})))"
        if re.match(r"^-?\d", operand):
            number = operand.rstrip("U")
            return f"(({ctype})({'UINT64_C' if number.startswith('0x') else 'INT64_C'}({number})))"
        special = re.match(r"^%(\w+)\.([xyz])$", operand)
        if special and special[1] in SPECIAL:
            return f"(({ctype}){SPECIAL[special[1]]}.{special[2]})"
        if operand == "%laneid":
            return f"(({ctype})emu::now.self->lane)"
        if operand == "WARP_SZ":
            return f"(({ctype})32)"
        if operand.startswith("!"):
            return f"!{name_of(operand[1:])}"
        if operand in self.shared_symbols:
            return f"(({ctype})0)"  # dynamic shared memory starts at offset 0, and there is no other
        if operand in self.locals:
            return f"(({ctype})reinterpret_cast<uintptr_t>({name_of(operand)}))"
        if not operand.startswith("%"):
            raise Untranslatable(operand)
        return f"as<{ctype}>({name_of(operand)})"

    def address(self, operand, space, size):
        """[base+offset] as a char *; `size`: bytes of the access, for the check of shared memory."""
        match = re.match(r"^\[([^+\s]+)\s*(?:\+\s*(-?\w+))?\]$", operand)
        base, offset = match[1], match[2] or "0"
        if space == "param":
            return f"(parameters[{self.parameters.index(base)}] + {offset})"
        if space == "local" and base in self.locals:
            return f"({name_of(base)} + {offset})"
        if space == "shared":
            return f"shared({self.value(base, 'int32_t')} + ({offset}), {size}, {self.site()})"
        return f"(reinterpret_cast<char *>({self.value(base, 'uintptr_t')}) + ({offset}))"

    def comparison(self, condition, x, y, is_float):
        if condition in ("num", "nan"):
            unordered = f"(std::isnan({x}) || std::isnan({y}))"
            return unordered if condition == "nan" else f"!{unordered}"
        expression = f"({x} {COMPARE[condition]} {y})"
        if is_float and condition.endswith("u"):
            expression = f"({expression} || std::isnan({x}) || std::isnan({y}))"
        if is_float and condition == "ne":
            expression = f"({expression} && !std::isnan({x}) && !std::isnan({y}))"
        return expression

    def statement(self, opcode, a):
        """C++ for one instruction; raises Untranslatable."""
        self.site_id += 1
        parts = opcode.split(".")
        op = parts[0]
        types = [p for p in parts if p in TYPES]
        kind = types[-1] if types else "b32"
        ctype = TYPES[kind]
        is_float = kind in ("f32", "f64")
        half = kind in ("f16", "bf16", "f16x2", "bf16x2")
        spaces = [p.split("::")[0] for p in parts]
        space = next((s for s in spaces if s in ("param", "global", "shared", "local", "const")), "generic")

        def v(i, t=None):
            return self.value(a[i], t or ctype)

        def put(expression):
            return f"put({name_of(a[0])}, {expression});"

        if op in BINARY and not half and not (op == "mul" and not is_float and parts[1] in ("wide", "hi")):
            if kind == "pred":
                return put(f"(bool)({v(1)} {BINARY[op]} {v(2)})")
            if "sat" in parts or ("cc" in parts):
                raise Untranslatable(opcode)
            return put(f"({ctype})({v(1)} {BINARY[op]} {v(2)})")
        if op == "mul" and parts[1] == "wide":
            wide = WIDER[ctype]
            return put(f"({wide})(({wide}){v(1)} * ({wide}){v(2)})")
        if op == "mul" and parts[1] == "hi":
            return put(f"mul_high<{ctype}>({v(1)}, {v(2)})")
        if op in ("mad", "fma") and not half:
            if is_float:
                return put(f"{'fmaf' if kind == 'f32' else 'fma'}({v(1)}, {v(2)}, {v(3)})")
            if parts[1] == "wide":
                wide = WIDER[ctype]
                return put(f"({wide})(({wide}){v(1)} * ({wide}){v(2)} + {v(3, wide)})")
            if parts[1] == "lo":
                return put(f"({ctype})({v(1)} * {v(2)} + {v(3)})")
        if op == "fma" and kind in ("f16x2", "bf16x2"):
            return put(f"emu::fma2<emu::from_{kind[:-2]}, emu::to_{kind[:-2]}>({v(1)}, {v(2)}, {v(3)})")
        if op in ("min", "max") and not half:
            return put(f"{'std::f' if is_float else 'std::'}{op}({v(1)}, {v(2)})")
        if op == "neg" and not half:
            return put(f"({ctype})(-{v(1)})")
        if op == "abs" and not half:
            return put(f"({ctype})std::abs({v(1)})")
        if op == "copysign" and kind == "f32":
            return put(f"std::copysign({v(2)}, {v(1)})")
        if op == "not":
            return put(f"!{v(1)}" if kind == "pred" else f"({ctype})~{v(1)}")
        if op in ("shl", "shr"):
            return put(f"{'shift_left' if op == 'shl' else 'shift_right'}<{ctype}>({v(1)}, {v(2, 'uint32_t')})")
        if op == "setp" and not half:
            expression = self.comparison(parts[1], v(1), v(2), is_float)
            if parts[2] in ("and", "or", "xor"):
                expression = f"({expression} {BINARY[parts[2]]} {self.value(a[3], 'bool')})"
            names = [name_of(x) for x in a[0].split("|")]
            return f"{names[0]} = {expression};" + (f" {names[1]} = !{names[0]};" if len(names) > 1 else "")
        if op == "selp":
            return put(f"({name_of(a[3])} ? {v(1)} : {v(2)})")
        if op == "mov":
            return self.move(opcode, a, ctype)
        if op == "cvt":
            return self.convert(parts, types, a)
        if op == "cvta":
            if space != "shared":
                return put(v(1))
            sign = "-" if "to" in parts else "+"
            return put(f"({v(1, 'uint64_t')} {sign} reinterpret_cast<uint64_t>(emu::now.shared))")
        if op in ("ld", "st") and "volatile" in parts:  # others may run between two of these
            return f"emu::yield(); {self.statement(opcode.replace('.volatile', ''), a)}"
        if op in ("ld", "ldu"):
            to = elements(a[0])
            read = (
                f"const {ctype} *p_ = access<{ctype}, "
                f"{len(to)}>({self.address(a[1], space, f'sizeof({ctype}) * {len(to)}')}, {self.site()});"
            )
            if len(to) == 1:
                return f"{{ {read} put({name_of(to[0])}, p_[0]); }}"
            copies = " ".join(f"{ctype} v{i}_ = p_[{i}];" for i in range(len(to)))
            return f"{{ {read} {copies} {' '.join(f'put({name_of(x)}, v{i}_);' for i, x in enumerate(to))} }}"
        if op == "st":
            of = elements(a[1])
            write = (
                f"{ctype} *p_ = access<{ctype}, "
                f"{len(of)}>({self.address(a[0], space, f'sizeof({ctype}) * {len(of)}')}, {self.site()});"
            )
            return f"{{ {write} {' '.join(f'p_[{i}] = {self.value(x, ctype)};' for i, x in enumerate(of))} }}"
        if op == "bra":
            return f"goto {name_of(a[0])};"
        if op in ("ret", "exit"):
            return "return;"
        if opcode.startswith("bar.warp.sync"):
            return f"emu::warp_op(emu::Op::syncwarp, {v(0, 'uint32_t')}, {self.site()});"
        if opcode in ("bar.sync", "barrier.sync") and a == ["0"]:
            return f"emu::barrier({self.site()});"
        if op == "shfl":
            to, _, found = a[0].partition("|")  # found: whether the source lane was in range
            operands = ", ".join(v(i, "uint32_t") for i in range(1, 5))
            found = f"{name_of(found)} = found_;" if found else "(void)found_;"
            return (
                f"{{ bool found_; put({name_of(to)}, shuffle_sync(Shuffle::{parts[2]}, {operands}, found_, "
                f"{self.site()})); {found} }}"
            )
        if op == "vote":
            ballot = f"emu::ballot({v(2, 'uint32_t')}, {v(1, 'bool')}, {self.site()})"
            if parts[2] == "all":
                return f"{{ uint32_t mask_ = {v(2, 'uint32_t')}; {name_of(a[0])} = {ballot} == mask_; }}"
            return put(ballot if parts[2] == "ballot" else f"{ballot} != 0")
        if op == "ldmatrix" and "x4" in parts and "m8n8" in parts:
            which = "ldmatrix_trans" if "trans" in parts else "ldmatrix"
            to = [name_of(x) for x in elements(a[0])]
            return (
                f"{{ uint32_t v_[4]; emu::ldmatrix(emu::Op::{which}, v_, {self.address(a[1], 'shared', 16)}, "
                f"{self.site()}); "
                f"{' '.join(f'{x} = v_[{i}];' for i, x in enumerate(to))} }}"
            )
        if op == "mma" and "m16n8k16" in parts and types[0] == "f32" and types[-1] == "f32" and types[1] == types[2]:
            d, fa, fb, fc = (elements(x) for x in a)
            which = {"f16": "mma_f16", "bf16": "mma_bf16"}[types[1]]
            return (
                f"{{ float d_[4], c_[4] = {{{', '.join(self.value(x, 'float') for x in fc)}}}; "
                f"uint32_t a_[4] = {{{', '.join(self.value(x, 'uint32_t') for x in fa)}}}; "
                f"emu::mma(emu::Op::{which}, d_, a_, {', '.join(self.value(x, 'uint32_t') for x in fb)}, c_, "
                f"{self.site()}); "
                f"{' '.join(f'put({name_of(x)}, d_[{i}]);' for i, x in enumerate(d))} }}"
            )
        if opcode == "cp.async.commit_group":
            return "emu::copy_commit();"
        if opcode == "cp.async.wait_group":
            return f"emu::copy_wait({a[0]});"
        if opcode == "cp.async.wait_all":
            return "emu::copy_commit(); emu::copy_wait(0);"
        if opcode.startswith("cp.async.cg.shared.global") and a[2] == "16":
            size = self.value(a[3], "int") if len(a) > 3 else "16"
            return (
                f"emu::copy_async({self.address(a[0], 'shared', 16)}, {self.address(a[1], 'global', 16)}, "
                f"{size}, {self.site()});"
            )
        if op == "sqrt":
            return put(f"{'sqrtf' if kind == 'f32' else 'sqrt'}({v(1)})")
        if op in FUNCTION and kind == "f32":
            return put(FUNCTION[op].format(v(1)))
        if op == "rcp" and kind == "f64" and "rn" in parts:
            return put(f"(1.0 / {v(1)})")
        if op == "bfi" and kind in ("b32", "b64"):
            return put(f"insert_bits<{ctype}>({v(1)}, {v(2)}, {v(3, 'uint32_t')}, {v(4, 'uint32_t')})")
        if op == "bfe" and kind in ("u32", "u64"):
            return put(f"extract_bits<{ctype}>({v(1)}, {v(2, 'uint32_t')}, {v(3, 'uint32_t')})")
        if op == "prmt" and len(parts) == 2:
            return put(f"permute({v(1)}, {v(2)}, {v(3)})")
        if opcode == "shf.l.wrap.b32":
            return put(f"funnel_left({v(1)}, {v(2)}, {v(3)})")
        if op == "popc":
            return put(f"(uint32_t)__builtin_popcountll({v(1)})")
        if op == "clz":
            width = 64 if "64" in kind else 32
            return put(f"(uint32_t)({v(1)} ? __builtin_clzll({v(1)}) - {64 - width} : {width})")
        if op == "bfind" and kind in (
            "u32",
            "u64",
        ):  # highest set bit, or with shiftamt the shift that takes it to the top
            leading = f"__builtin_clzll({v(1)}) - {64 - int(kind[1:])}"
            found = leading if "shiftamt" in parts else f"{int(kind[1:]) - 1} - ({leading})"
            return put(f"({v(1)} ? (uint32_t)({found}) : ~0u)")
        if op == "brev" and kind == "b32":
            return put(f"reverse_bits({v(1)})")
        if op in ("atom", "red"):
            at = 1 if op == "atom" else 0
            what = next((e for key, e in ATOMIC.items() if key in parts), None)
            if what is None:
                raise Untranslatable(opcode)
            result = f" put({name_of(a[0])}, old);" if op == "atom" else ""
            place = self.address(a[at], space, f"sizeof({ctype})")
            return (
                f"{{ {ctype} *p_ = access<{ctype}, 1>({place}, {self.site()}), old = *p_, operand = {v(at + 1)}; "
                f"*p_ = ({ctype})({what});{result} }}"
            )
        if op == "wgmma":
            if (
                parts[1] == "mma_async"
                and parts[4:] in (["m64n256k16", "f32", t, t] for t in ("f16", "bf16"))
                and a[3:] == ["1", "1", "1", "0", "0"]
            ):
                d = elements(a[0])
                return (
                    f"{{ float d_[128] = {{{', '.join(self.value(x, 'float') for x in d)}}}; "
                    f"emu::group_product(emu::Op::group_{parts[-1]}, d_, "
                    f"{self.value(a[1], 'uint64_t')}, {self.value(a[2], 'uint64_t')}, {self.site()}); "
                    f"{' '.join(f'put({name_of(x)}, d_[{i}]);' for i, x in enumerate(d))} }}"
                )
            if parts[1:] == ["fence", "sync", "aligned"]:
                return "emu::group_begin();"
            if parts[1:] == ["commit_group", "sync", "aligned"]:
                return "emu::group_commit();"
            if parts[1:] == ["wait_group", "sync", "aligned"]:
                return f"emu::group_wait({a[0]});"
            raise Untranslatable(opcode)
        if opcode.startswith("fence.proxy.async"):
            return "emu::publish_copies();"
        if op in ("membar", "fence"):
            return ";"  # one thread runs at a time
        raise Untranslatable(opcode)

    def move(self, opcode, a, ctype):
        """mov, which also packs and unpacks: mov.b32 %r, {%h, %h} and mov.b32 {%h, %h}, %r."""
        bits = 32 if "b32" in opcode else 64
        if a[0].startswith("{"):
            to = elements(a[0])
            width, whole = bits // len(to), self.value(a[1], f"uint{bits}_t")
            return " ".join(
                f"put({name_of(x)}, (uint{width}_t)({whole} >> {i * width}));" for i, x in enumerate(to) if x != "_"
            )
        if a[1].startswith("{"):
            of = elements(a[1])
            width = bits // len(of)
            packed = " | ".join(
                f"((uint{bits}_t){self.value(x, f'uint{width}_t')} << {i * width})" for i, x in enumerate(of)
            )
            return f"put({name_of(a[0])}, (uint{bits}_t)({packed}));"
        return f"put({name_of(a[0])}, {self.value(a[1], ctype)});"

    def convert(self, parts, types, a):
        to, of = types[0], types[1]
        target = name_of(a[0])
        if to in ("f16x2", "bf16x2") and of == "f32":
            half = f"emu::to_{to[:-2]}"
            return (
                f"put({target}, (uint32_t){half}({self.value(a[1], 'float')}) << 16 | "
                f"{half}({self.value(a[2], 'float')}));"
            )
        if to in ("f16", "bf16") and of == "f32":
            return f"put({target}, emu::to_{to}({self.value(a[1], 'float')}));"
        if of in ("f16", "bf16") and to == "f32":
            return f"put({target}, emu::from_{of}({self.value(a[1], 'uint16_t')}));"
        if "sat" in parts and to == of == "f32":
            return f"put({target}, std::fmin(std::fmax({self.value(a[1], 'float')}, 0.0f), 1.0f));"  # NaN becomes 0
        if "f16" in to or "f16" in of or "sat" in parts:
            raise Untranslatable(".".join(parts))
        expression = self.value(a[1], TYPES[of])
        rounding = next((p for p in parts if p in ("rni", "rzi", "rmi", "rpi")), None)
        if rounding:
            function = {"rni": "nearbyint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}[rounding]
            expression = f"std::{function}({expression})"
            if to[0] in "us":
                return f"put({target}, to_integer<{TYPES[to]}>({expression}));"
        return f"put({target}, ({TYPES[to]})({expression}));"


def statements(body):
    """Statements, labels and braces of a body, in order, without their semicolons. Vector operands {a,b} are not
    braces.
    """
    out, pending = [], ""
    for raw in body.split("\n"):
        text = raw.strip()
        while text:
            label = re.match(r"^(\$[\w$]+):", text)
            if not pending and (label or (text[0] in "{}" and not re.match(r"^\{[^;}]*\}\s*,", text))):
                out.append(label[0] if label else text[0])
                text = text[label.end() if label else 1 :].strip()
                continue
            if not pending and text.startswith(".loc"):
                out.append(text)
                break
            end = text.find(";")
            if end < 0:
                pending += text + " "
                break
            out.append((pending + text[:end]).strip())
            pending, text = "", text[end + 1 :].strip()
    return out


def set_line(kernel, text):
    """.loc file line column[, function_name ..., inlined_at file line column]: the kernel's line, not that of device.h.
    """
    places = [tuple(map(int, p)) for p in re.findall(r"(?:\.loc|inlined_at)\s+(\d+)\s+(\d+)\s+\d+", text)]
    own = [p for p in places if not kernel.files.get(p[0], "").endswith("device.h")]
    kernel.file, kernel.line = (own or places)[0]


def translate_body(kernel, body, unknown):
    out = []
    for text in statements(body):
        if text in "{}":
            out.append(text)
            continue
        if text.startswith(".loc"):
            set_line(kernel, text)
            continue
        if text.endswith(":"):
            out.append(f"{name_of(text[:-1])}:;")
            continue
        register = re.match(r"^\.reg\s+\.(\w+)\s+(.*)$", text)
        if register:
            for declared in register[2].split(","):
                many = re.match(r"^\s*(%?[\w$]+)<(\d+)>$", declared)
                names = (
                    [f"{name_of(many[1])}{i}" for i in range(1, int(many[2]))] if many else [name_of(declared.strip())]
                )
                if names:
                    out.append(f"{TYPES[register[1]]} {', '.join(names)};")
            continue
        local = re.match(r"^\.local\s+\.align (\d+) \.b8\s+([\w$]+)\[(\d+)\]", text)
        if local:
            kernel.locals.add(local[2])
            out.append(f"alignas({local[1]}) char {name_of(local[2])}[{local[3]}];")
            continue
        if text.startswith("."):
            if text.startswith(".shared"):
                sys.exit(f"{kernel.name}: static shared memory; kernels use SAMC_SHARED")
            continue
        guard = re.match(r"^@(!?)(%?[\w$]+)\s+(.*)$", text)
        condition = f"if ({guard[1]}{name_of(guard[2])}) " if guard else ""
        opcode, _, operands = (guard[3] if guard else text).partition(" ")
        opcode, tab, more = opcode.partition("\t")
        operands = more + operands
        try:
            statement = kernel.statement(opcode, split_operands(operands))
        except (Untranslatable, KeyError, IndexError):
            unknown[opcode] = unknown.get(opcode, 0) + 1
            statement = f'unsupported("{opcode}", {kernel.site()});'
        out.append(f"{condition}{{ {statement} }}" if condition else statement)
    return out


def main():
    parser = argparse.ArgumentParser(description="PTX to C++ for the emulation")
    parser.add_argument("ptx")
    parser.add_argument("-o", required=True, metavar="OUTPUT")
    parser.add_argument("--strict", action="store_true", help="fail if an instruction has no translation")
    options = parser.parse_args()
    with open(options.ptx, encoding="utf-8") as file:
        source = file.read()
    files = {int(n): path for n, path in re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', source, re.M)}
    source = re.sub(r"/\*.*?\*/", "", re.sub(r"//[^\n]*", "", source), flags=re.S)
    shared = set(re.findall(r"\.extern\s+\.shared\s+\.align \d+ \.b8 ([\w$]+)\[\]", source))
    unknown, count = {}, 0
    out = [
        "// Translated from PTX by ptx_to_cpp.py.",
        '#include "ptx.h"',
        "using namespace emu::ptx;",
        "#define UNUSED __attribute__((unused))",
    ]
    for entry in re.finditer(r"\.entry\s+([\w$]+)\s*\(([^)]*)\)[^{]*\{", source):
        end, depth = entry.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(source[end], 0)
            end += 1
        kernel = Kernel(entry[1], re.findall(r"\.param [^,\n]*?([\w$]+_param_\d+)", entry[2]), files)
        kernel.shared_symbols = shared
        symbol = f"host_{count}"
        out += [
            f'extern "C" const char {symbol}[] __asm__("{entry[1]}");',
            f"static void kernel_{count}(UNUSED char *const *parameters) {{",
        ]
        out += translate_body(kernel, source[entry.end() : end - 1], unknown)
        out += ["}", f'static emu::PtxEntry entry_{count}({symbol}, kernel_{count}, "{entry[1]}");']
        count += 1
    if unknown:
        print("instructions without a translation:", unknown, file=sys.stderr)
        if options.strict:
            sys.exit(1)
    with open(options.o, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
