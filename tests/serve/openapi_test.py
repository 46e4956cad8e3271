#!/usr/bin/env python3
"""The server held against its own document: for every operation of /openapi.json bodies are made from its schema, good
ones and ones with something wrong (the same each time), and every answer has to be among those that the document
promises: its status, its type, and, of JSON, its schema.

    openapi_test.py SAMC ROOT [ROUNDS]

schemathesis from PyPI does the same with more fantasy, of a server that runs and with the id of an image that is there
in schemathesis.toml ([parameters] id = "..."):

    st run http://127.0.0.1:8765/openapi.json --seed 1 -n 60 --phases coverage,fuzzing --exclude-method DELETE \
        --exclude-operation-id auto --exclude-checks positive_data_acceptance
"""

import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from harness import Server

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 12
PHOTO, TINY = ROOT / "tools/examples/coffee.jpg", ROOT / "tests/data/golden/tiny.safetensors"
ODD = [None, True, -1, 0, 1 << 31, 1e300, "", "\u00e9\n", "x" * 300, [], [[]], {}, {"a": 1}]
TAKEN = [("POST", path) for path in ("/v1/images", "/v1/images/{id}/predict", "/v1/images/{id}/auto")]
KINDS = {"string": str, "array": list, "object": dict, "boolean": bool, "null": type(None)}


class Document:
    def __init__(self, text):
        self.root = text

    def at(self, thing):
        while isinstance(thing, dict) and "$ref" in thing:
            path, thing = thing["$ref"].split("/")[1:], self.root
            for name in path:
                thing = thing[name]
        return thing

    def operations(self):
        for path, methods in self.root["paths"].items():
            for method, operation in methods.items():
                if method != "parameters":
                    parameters = methods.get("parameters", []) + operation.get("parameters", [])
                    yield method.upper(), path, operation, [self.at(p) for p in parameters]

    def make(self, schema, chance):
        """A value that fits the schema, by and large."""
        schema = self.at(schema)
        for key in ("oneOf", "anyOf"):
            if key in schema:
                return self.make(chance.choice(schema[key]), chance)
        if "example" in schema and chance.random() < 0.5:
            return schema["example"]
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else chance.choice(schema["enum"])
        kind = schema.get("type")
        kind = chance.choice(kind) if isinstance(kind, list) else kind
        least, most = schema.get("minimum", -2), schema.get("maximum", 300)
        if kind == "integer":
            return chance.choice([least, most, chance.randint(int(least), int(most))])
        if kind == "number":
            return chance.choice([least, most, round(chance.uniform(least, most), 3)])
        if kind == "boolean":
            return chance.random() < 0.5
        if kind == "array":
            count = chance.randint(schema.get("minItems", 0), min(schema.get("maxItems", 3), 4))
            return [self.make(schema.get("items", {}), chance) for _ in range(count)]
        if kind == "object":
            given = schema.get("properties", {})
            needed = schema.get("required", [])
            return {k: self.make(v, chance) for k, v in given.items() if k in needed or chance.random() < 0.35}
        return chance.choice(["text", "AAAA", "\u00e9"]) if kind == "string" else chance.choice(ODD)

    def spoil(self, value, chance):
        """Something of it replaced by what nobody expects."""
        if isinstance(value, dict) and value and chance.random() < 0.8:
            key = chance.choice(list(value))
            return {**value, key: self.spoil(value[key], chance)}
        if isinstance(value, list) and value and chance.random() < 0.5:
            i = chance.randrange(len(value))
            return value[:i] + [self.spoil(value[i], chance)] + value[i + 1 :]
        return chance.choice(ODD)

    def wrong(self, value, schema, where="the answer"):
        """What of a value the schema does not allow, or None."""
        schema = self.at(schema)
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = lambda k: number if k == "number" else type(value) is int if k == "integer" else type(value) is KINDS[k]
        if kinds and not any(fits(k) for k in kinds):
            return f"{where} is {value!r:.40}, not {kinds}"
        if "const" in schema and value != schema["const"] or "enum" in schema and value not in schema["enum"]:
            return f"{where} is {value!r:.40}"
        if number and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            return f"{where} is {value}"
        if isinstance(value, list):
            if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
                return f"{where} has {len(value)} items"
            parts = [self.wrong(v, schema.get("items", {}), f"{where}[{i}]") for i, v in enumerate(value)]
            return next(filter(None, parts), None)
        if isinstance(value, dict):
            missing = [k for k in schema.get("required", []) if k not in value]
            if missing:
                return f"{where} has no {missing}"
            given = schema.get("properties", {})
            return next(filter(None, (self.wrong(v, given.get(k, {}), f"{where}.{k}") for k, v in value.items())), None)
        return None


def tame(body):
    """Automatic masks that end soon."""
    for key, most in (("points_per_side", 3), ("crop_n_layers", 1), ("points_per_batch", 64)):
        if isinstance(body, dict) and type(body.get(key)) is int and body[key] > most:
            body[key] = most
    return body


def check(document, operation, status, headers, answer):
    promised = document.at(operation["responses"].get(str(status)))
    if promised is None:
        return f"the status {status} is not promised"
    content, kind = promised.get("content", {}), headers.get("Content-Type", "").split(";")[0]
    if not content:
        return None
    if kind not in content:
        return f"{status} is of type {kind}, not {list(content)}"
    return document.wrong(answer, content[kind].get("schema", {})) if kind == "application/json" else None


def ask_all(server, chance):
    """Every operation, many times; what was not as the document says, and which statuses there were."""
    failures, seen = [], set()
    document = Document(server.ask("GET", "/openapi.json")[2])
    listed = server.ask("GET", "/v1/folder")[2]["images"][0]["id"]
    for method, path, operation, parameters in document.operations():
        content = operation.get("requestBody", {}).get("content", {})
        rounds = ROUNDS if content or parameters else 1
        patience = 20 * ROUNDS if (method, path) in TAKEN else rounds  # which is taken depends on what was drawn
        for i in range(patience):
            if i >= rounds and any((method, path, status) in seen for status in (200, 201)):
                break
            known = {"id": server.upload(PHOTO), "image": listed}  # which it may have been told to forget
            query, address = [], path
            for p in parameters:
                if p["in"] == "path":
                    odd = chance.choice([known["id"], "0" * 64, "x", "%00", "%2e%2e"])
                    address = address.replace("{%s}" % p["name"], known[p["name"]] if i % 3 else odd)
                elif p["in"] == "query" and chance.random() < 0.9:
                    good = quote(str(document.make(p.get("schema", {}), chance)), safe="")
                    query.append(f"{p['name']}={chance.choice([good, good, '', '-1', '%ff']) if i % 2 else good}")
            headers, body = {}, None
            if content:
                kind = chance.choice(list(content))
                headers["Content-Type"] = kind.replace("*", "png")
                if kind == "application/json":
                    made = document.make(content[kind].get("schema", {}), chance)
                    body = json.dumps(tame(document.spoil(made, chance) if i % 2 else made))
                else:
                    body = chance.choice([b"", b"x", PHOTO.read_bytes()[: chance.choice([100, 10**6])]])
            if i == 0 and content and "application/json" not in content:  # once what it takes, whatever chance says
                query, body = [], PHOTO.read_bytes()
            address += "?" + "&".join(query) if query else ""
            status, got, answer = server.ask(method, address, body, headers)
            problem = check(document, operation, status, got, answer)
            seen.add((method, path, status))
            if problem:
                failures.append(f"{method} {address} {str(body)[:200]}: {problem}")
    return failures, seen


def main():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(PHOTO, folder)
        with Server(SAMC, folder, model=TINY) as server:
            failures, seen = ask_all(server, random.Random(23))
    answered = {(method, path) for method, path, status in seen if status < 300}
    failures += [f"{path} never got what it takes" for method, path in TAKEN if (method, path) not in answered]
    for failure in failures:
        print(failure)
    print(f"{len(seen)} kinds of answers, {len(failures)} not as the document says")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
