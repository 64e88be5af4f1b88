"""Whether a ticket's text is anywhere in some bytes, for tens of thousands of tickets at once.

Of each text 32 bytes from its middle are hashed; the same hash of every 32 bytes of the data is looked up in
a table of bits, and what is found there is compared with the whole text. The hash of 32 bytes is made of
those of two times 16, and so on down to one (a polynomial over 2^32, as of Rabin and Karp), which numpy does
for all places together.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

WINDOW = 32  # bytes; a shorter text could stand anywhere by chance, and is not looked for
LONGEST = 2048  # of a text so many bytes at most are compared; also how far chunks of a file must overlap
_BASE = 0x9E3779B1  # odd, so that no byte is lost: 2^32 over the golden ratio
_BITS = 22  # of the table: 20,000 texts fill half a per cent of it
_BLOCK = 1 << 17  # places at a time: what numpy makes of them stays in the processor's cache


def _hashes(data: bytes) -> np.ndarray:
    """Of the 32 bytes from each place on. Shape (len(data) - 31,), uint32."""
    values = np.frombuffer(data, np.uint8).astype(np.uint32)
    factor, width = _BASE, 1
    while width < WINDOW:
        values = values[:-width] * np.uint32(factor) + values[width:]
        factor, width = factor * factor % 2**32, 2 * width
    return values


def _slots(hashes: np.ndarray) -> np.ndarray:
    return hashes >> np.uint32(32 - _BITS)


class Texts:
    """Texts to look for."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Take those that are long enough."""
        self._table = np.zeros(1 << _BITS, bool)
        self._by_hash: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
        known = sorted(self.long_enough(texts))
        self.count = len(known)
        for text in known:
            start = (len(text) - WINDOW) // 2
            hashed = _hashes(text[start : start + WINDOW])
            self._table[_slots(hashed)] = True
            self._by_hash[int(hashed[0])].append((text, start))

    @staticmethod
    def long_enough(texts: Iterable[str]) -> set[bytes]:
        """What can be looked for of texts: those that could stand nowhere by chance, once each."""
        encoded = {text.strip().encode()[:LONGEST] for text in texts}
        return {text for text in encoded if len(text) >= WINDOW}

    def in_data(self, data: bytes) -> bool:
        """Whether one of them is there, byte for byte."""
        blocks = range(0, max(len(data) - WINDOW + 1, 0), _BLOCK)
        return any(self._in_block(data, start) for start in blocks)

    def _in_block(self, data: bytes, first: int) -> bool:
        hashes = _hashes(data[first : first + _BLOCK + WINDOW - 1])
        for place in np.flatnonzero(self._table[_slots(hashes)]):
            for text, start in self._by_hash.get(int(hashes[place]), ()):
                begin = first + int(place) - start
                if begin >= 0 and data[begin : begin + len(text)] == text:
                    return True
        return False
