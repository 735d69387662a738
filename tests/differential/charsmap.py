"""Builds a "precompiled_charsmap": base64 of a Darts-clone trie and the texts that it points to."""
import base64
import struct

BLOCK = 256  # every node gets a block of its own: wasteful, and nothing ever collides
HAS_VALUE, VALUE, OFFSET_SHIFT, MAX_OFFSET = 1 << 8, 1 << 31, 10, 1 << 21


class Trie:
    def __init__(self, values):
        self.values = values
        self.units = [0] * BLOCK
        self.place(0, list(values), 0, 0)

    def place(self, at, keys, depth, label):
        base = len(self.units)
        self.units += [0] * BLOCK
        offset = at ^ base
        if offset >= MAX_OFFSET:
            raise ValueError("too many keys")
        ends = next((key for key in keys if len(key) == depth), None)
        self.units[at] = offset << OFFSET_SHIFT | (0 if ends is None else HAS_VALUE) | label
        if ends is not None:
            self.units[base] = VALUE | self.values[ends]
        following = {}
        for key in keys:
            if len(key) > depth:
                following.setdefault(key[depth], []).append(key)
        for byte, longer in following.items():
            self.place(base ^ byte, longer, depth + 1, byte)


def charsmap(mapping):
    """`mapping`: from texts, or parts of them as bytes, to texts."""
    texts, values = b"", {}
    for key, text in mapping.items():
        values[key if isinstance(key, bytes) else key.encode()] = len(texts)
        texts += text.encode() + b"\0"
    units = Trie(values).units
    blob = struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + texts
    return base64.b64encode(blob).decode()
