"""A disk that loses its power: replays the record of archive_faults.c and keeps what the rules of fsync promise, or
less.

Files have their bytes as of their last fsync; folders have their names as of theirs. What was not synced is lost
("nothing unsynced"), but for the last operation's name ("last name alone"), or its names are there and its bytes are
not ("names without data"), or some of it is there, torn and out of order ("seed N"). A file that has two names then
(the middle of a rename) is one file, and what is left has the times that it had.
"""

import os
import random
import shutil
from typing import NamedTuple


class Entry(NamedTuple):
    name: str
    inode: int
    path: str  # of the operation, "" where it has none
    other: str  # the new name of a rename or a link
    data: bytes
    at: int  # offset of a write, length of a truncation


def read_log(log):
    found = []
    with open(log) as file:
        for line in file:
            if not line.endswith("\n"):
                break
            name, inode, first, second = line[:-1].split(" ")
            first, second = bytes.fromhex(first), bytes.fromhex(second)
            binary = name in ("write", "truncate")
            found.append(
                Entry(
                    name,
                    int(inode),
                    "" if binary else os.fsdecode(first),
                    os.fsdecode(second) if name in ("rename", "link") else "",
                    second,
                    int.from_bytes(first, "little") if binary else 0,
                )
            )
    return found


class File:
    def __init__(self, data=b"", time=None):
        self.data, self.synced, self.history, self.time = data, data, [], time

    def write(self, at, data):
        self.data = self.data[:at].ljust(at, b"\0") + data + self.data[at + len(data) :]
        self.history.append(self.data)

    def truncate(self, length):
        self.data = self.data[:length].ljust(length, b"\0")
        self.history.append(self.data)

    def sync(self):
        self.synced, self.history = self.data, []

    def left(self, mode, dice):
        if dice is None or not self.history:
            return self.synced
        data = dice.choice([self.synced, *self.history])
        if dice.random() < 0.3 and len(data) > len(
            self.synced
        ):  # the length reached the disk, some of the bytes did not
            hole = dice.randrange(len(self.synced), len(data))
            end = min(len(data), (hole // 512 + dice.randrange(1, 8)) * 512)  # of a sector
            data = data[:hole] + bytes(end - hole) + data[end:]
        return data


class Folder:
    def __init__(self, time=None):
        self.names, self.synced, self.history, self.time = {}, {}, [], time

    def is_left(self, operation, mode):
        """The two sides of a rename reach the disk together, as file systems promise, unless one of the folders is
        synced.
        """
        if mode.startswith("last"):
            return operation == int(mode.split()[-1])
        return random.Random(f"{mode} {operation}").random() < 0.5

    def set(self, name, thing, operation=0):
        if thing is None:
            self.names.pop(name, None)
        else:
            self.names[name] = thing
        self.history.append((name, thing, operation))

    def sync(self):
        self.synced, self.history = dict(self.names), []

    def left(self, mode, dice):
        if mode.startswith("names"):
            return self.names
        if mode == "nothing unsynced":
            return self.synced
        names = dict(self.synced)
        for name, thing, operation in self.history:
            if self.is_left(operation, mode):
                names.pop(name, None) if thing is None else names.update({name: thing})
        return names


class Disk:
    """Folders and files below one root, as they are and as they are promised to be."""

    def __init__(self, root, before, before_times):
        self.root, self.top, self.inodes, self.operations, self.written = root, Folder(), {}, 0, {}
        known = {}
        for path, data in sorted((before or {}).items()):
            folder, name = self.parent(os.path.join(root, os.fsdecode(path)))
            time, inode = (before_times or {}).get(path, (None, path))
            folder.set(name, Folder(time) if data is None else known.setdefault(inode, File(data, time)))
        self.sync_all(self.top)

    def parent(self, path):
        folder, parts = self.top, [part for part in os.path.relpath(path, self.root).split("/") if part != "."]
        for part in parts[:-1]:
            folder = folder.names[part]
        return folder, parts[-1] if parts else ""

    def find(self, path):
        folder, name = self.parent(path)
        return folder.names.get(name) if name else folder

    def sync_all(self, thing):
        thing.sync()
        for child in thing.names.values() if isinstance(thing, Folder) else ():
            self.sync_all(child)

    def apply(self, entry):
        if entry.path and not (entry.path + "/").startswith(self.root + "/"):
            return  # the folder above the output: it is taken as there
        self.operations += 1
        if entry.name == "mkdir":
            folder, name = self.parent(entry.path)
            if name:
                folder.set(name, Folder(), self.operations)
        elif entry.name == "create":
            folder, name = self.parent(entry.path)
            folder.set(name, File(), self.operations)
            self.inodes[entry.inode] = folder.names[name]
        elif entry.name == "open":
            self.inodes[entry.inode] = self.find(entry.path)
        elif entry.name == "write":
            self.inodes[entry.inode].write(entry.at, entry.data)
        elif entry.name == "truncate":
            self.inodes[entry.inode].truncate(entry.at)
        elif entry.name == "sync":
            self.find(entry.path).sync()
        elif entry.name == "syncfs":
            self.sync_all(self.top)
        elif entry.name == "rename":
            folder, name = self.parent(entry.path)
            target, new = self.parent(entry.other)
            target.set(new, folder.names[name], self.operations)
            folder.set(name, None, self.operations)
        elif entry.name == "link":
            folder, name = self.parent(entry.path)
            target, new = self.parent(entry.other)
            target.set(new, folder.names[name], self.operations)
        elif entry.name == "unlink":
            folder, name = self.parent(entry.path)
            folder.set(name, None, self.operations)
        else:
            raise ValueError(entry.name)

    def write_out(self, folder, path, mode, dice, times):
        """`times`: of what is there now below the root, for what was made since the beginning."""
        os.makedirs(path)
        for name, thing in folder.left(mode, dice).items():
            where = os.path.join(path, name)
            if isinstance(thing, Folder):
                self.write_out(thing, where, mode, dice, times)
            elif id(thing) in self.written:
                os.link(self.written[id(thing)], where)
            else:
                with open(where, "wb") as file:
                    file.write(thing.left(mode, dice))
                self.written[id(thing)] = where
            time = thing.time or times.get(os.fsencode(os.path.relpath(where, self.out)), (None,))[0]
            if time is not None:
                os.utime(where, ns=(time, time))


def times(root):
    """When each thing below the folder was changed, in nanoseconds, and its inode: one file may have two names."""
    found = {}
    for where, folders, files in os.walk(os.fsencode(root)):
        for name in folders + files:
            path = os.path.join(where, name)
            found[os.path.relpath(path, os.fsencode(root))] = os.stat(path).st_mtime_ns, os.stat(path).st_ino
    return found


def crash(trace, root, out, mode, before=None, before_times=None):
    """Makes `out` what is left of `root` after the operations in `trace`; `before` is the tree that stood there,
    synced, and its times.
    """
    disk = Disk(root, before, before_times)
    now = times(root)
    for entry in trace:
        disk.apply(entry)
    shutil.rmtree(out, ignore_errors=True)
    disk.out = out
    mode += f" {disk.operations}" if mode == "last name alone" else ""
    disk.write_out(disk.top, out, mode, random.Random(mode) if mode.startswith("seed") else None, now)


def journaled(trace):
    """Images whose records were written to the journal of a run that began from nothing."""
    journals = {entry.inode for entry in trace if entry.name == "open" and entry.path.endswith("/.samc/journal")}
    return sum(
        entry.data.count(b"\n") for entry in trace if entry.name == "write" and entry.inode in journals and entry.at > 0
    )


def journaled_synced(trace):
    """Those whose records were also synced."""
    last = max(
        (i for i, entry in enumerate(trace) if entry.name == "sync" and entry.path.endswith("/.samc/journal")),
        default=0,
    )
    return journaled(trace[:last])


def difference(ours, theirs):
    """The first names in which two trees differ."""
    return [name for name in sorted(set(ours) | set(theirs)) if ours.get(name, 0) != theirs.get(name, 0)][:5]
