"""Reads a bytecode image as shm/bytecode_image.h describes it, with nothing of tach's own code."""

from __future__ import annotations

import marshal
import struct
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

HEAD = struct.Struct("<16sI44x")
SLOT = struct.Struct("<QQQQ24xQ")
INDEX_HEAD = struct.Struct("<QQIIII")
ENTRY = struct.Struct("<QIIIIQQQ QqqQ QQ II")
MAGIC = b"tach bytecode\n\0\0"
KINDS = ("plain", "rewritten")


@dataclass(frozen=True)
class Module:
    kind: str
    is_package: bool
    path: str
    name: str
    signature: tuple[int, int, int, int]
    code: bytes

    @property
    def code_object(self) -> CodeType | None:
        return marshal.loads(self.code) if self.code else None


@dataclass(frozen=True)
class Image:
    interpreter_key: str
    rewriter_key: str
    identity: str
    modules: tuple[Module, ...]

    def __getitem__(self, key: tuple[str, str]) -> Module:
        kind, end = key
        (found,) = (module for module in self.modules if module.kind == kind and module.path.endswith(end))
        return found

    def __contains__(self, key: tuple[str, str]) -> bool:
        return any(module.kind == key[0] and module.path.endswith(key[1]) for module in self.modules)

    @property
    def codes(self) -> dict[tuple[str, str, str], CodeType | None]:
        """What must not depend on how it came about. The bytes of equal code objects may differ (marshal)."""
        return {(module.kind, module.path, module.name): module.code_object for module in self.modules}


def read(path: Path) -> Image:
    data = path.read_bytes()
    magic, version = HEAD.unpack_from(data)
    assert (magic, version) == (MAGIC, 1)
    slots = [SLOT.unpack_from(data, HEAD.size + i * SLOT.size) for i in range(2)]
    _, offset, size, _, _ = max(slots)
    index = data[offset : offset + size]
    assert len(index) == size
    count, texts_size, *key_sizes, _ = INDEX_HEAD.unpack_from(index)
    texts = index[INDEX_HEAD.size + count * ENTRY.size :]
    assert len(texts) == texts_size
    keys = []
    at = 0
    for key_size in key_sizes:
        keys.append(texts[at : at + key_size].decode())
        at += key_size
    modules = []
    for i in range(count):
        entry = ENTRY.unpack_from(index, INDEX_HEAD.size + i * ENTRY.size)
        (_, path_at, path_size, name_at, name_size, code_at, code_size, _) = entry[:8]
        flags = entry[14]
        code = data[code_at : code_at + code_size]
        assert len(code) == code_size
        modules.append(
            Module(
                kind=KINDS[flags & 1],
                is_package=bool(flags & 2),
                path=texts[path_at : path_at + path_size].decode("utf-8", "surrogateescape"),
                name=texts[name_at : name_at + name_size].decode("utf-8", "surrogateescape"),
                signature=entry[8:12],
                code=code,
            )
        )
    return Image(keys[0], keys[1], keys[2], tuple(modules))
