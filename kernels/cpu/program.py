"""The program that the native driver runs: its instructions, how they are put together, and their text.

A program is an array of int64. It works on a *frame*, another array of int64, one per call::

    frame  | operand addresses | result addresses | arena | pointers and counters ... | argument block |
    slot     0 ...                                                         program[ARGUMENTS]

A call of a program is a call of a Python function that is native code (`driver.enter`). What it is bound to is an
ndarray of int64: the words below, then the frame.

Each instruction begins with its opcode and its length in words. Addresses are written as a frame slot and a
byte offset, so that a program holds for every call.
"""

from __future__ import annotations

import array
import functools
import hashlib
from collections.abc import Mapping, Sequence

# The header: how many leading slots hold ids of ndarrays, and where the argument block begins.
ARRAYS, ARGUMENTS, HEADER = 0, 1, 2

# The words before the frame: addresses of the program and of the cell with the pool's address; of Python's functions
# that let its lock go and take it again (the first is 0 where the lock is kept), and that make an int of a status.
PROGRAM, POOL, SAVE_THREAD, RESTORE_THREAD, TO_INT, FRAME = 0, 1, 2, 3, 4, 5

DATA_OFFSET = object.__basicsize__
"""Bytes from an ndarray's id to its data pointer: the first field after the object header."""

FLAGS_OFFSET = DATA_OFFSET + 48
"""Bytes from an ndarray's id to its flags: after data, ndim, dimensions, strides, base and dtype."""

CONTIGUOUS = 0x101
"""The flags of an array that is C-contiguous and aligned."""

NOT_CONTIGUOUS = -1
"""What `run` gives, before it does anything, where an operand is not so."""

HALT = 0
"""End of the program."""
CALL = 1
"""entry, extent, grain, n pointers, n values, (slot, offset)..., values...: call a kernel over 0..extent, split over
threads where extent is above grain."""
ADD = 2
"""slot, amount: frame[slot] += amount."""
SWAP = 3
"""slot, slot: exchange two slots."""
SET = 4
"""slot, value."""
JUMP = 5
"""target word."""
JUMP_IF_ZERO = 6
"""slot, offset, target word: jump when the byte at the address is 0."""
LOOP = 7
"""slot, target word: frame[slot] -= 1; jump when it is still above 0."""
MOVE = 8
"""slot, slot, amount: frame[first] = frame[second] + amount."""
TABLE = 9
"""slot, offset, n, n target words: jump to the target whose number is the int32 at the address, limited to those
that there are."""
REPEAT = 10
"""times, entry, extent, n pointers, n values, n moving, (slot, offset)..., values..., (number, stride)...: call a
kernel whole so many times, at least once; after each call the pointers of these numbers move by their strides."""

PUSH = 11
"""slot, tape, size, realloc: make room for `size` more bytes on a tape, frame[slot] = their address. A tape is three
slots: its memory, the bytes that it has, and those in use; all 0 in the beginning."""
POP = 12
"""slot, tape, size, target word: frame[slot] = address of the last `size` bytes in use, which are so no longer; jump
where there are none."""
FREE = 13
"""tape, free: give back the memory of a tape."""
ALONE = 14
"""get, set: until the next BACK, BLAS computes on the calling thread only. The operands are the addresses of BLAS'
functions that get and set how many threads it uses."""
BACK = 15
"""set: BLAS uses as many threads as before."""

OUT_OF_MEMORY = -2
"""What `run` gives where a tape cannot grow."""

FIRST_TAPE = 1 << 14
"""The bytes of a tape that has just begun."""

NAMES = {
    CALL: "call",
    ADD: "add",
    SWAP: "swap",
    SET: "set",
    JUMP: "jump",
    JUMP_IF_ZERO: "jump_if_zero",
    LOOP: "loop",
    MOVE: "move",
    TABLE: "table",
    REPEAT: "repeat",
    ALONE: "alone",
    BACK: "back",
    PUSH: "push",
    POP: "pop",
    FREE: "free",
}


class Program:
    """Assembles a program; `words` is what the driver runs."""

    def __init__(self, arrays: int, slots: int):
        self.slots = slots
        self._widest = 0
        self.words = array.array("q", [arrays, slots])
        self.symbols: dict[str, int] = {}

    @property
    def frame_size(self) -> int:
        """Slots of a frame, the argument block included."""
        return self.slots + self._widest

    @property
    def here(self) -> int:
        """The next instruction's position, a target of jumps."""
        return len(self.words)

    def slot(self) -> int:
        """A new slot of the frame, for a pointer or a counter."""
        self.slots += 1
        return self.slots - 1

    def _emit(self, opcode: int, *operands: int) -> int:
        start = self.here
        self.words.extend([opcode, 2 + len(operands), *operands])
        return start

    def call(
        self,
        entry: int,
        extent: int,
        grain: int,
        pointers: Sequence[tuple[int, int]],
        values: Sequence[int] = (),
    ) -> None:
        """Call the kernel at address `entry` over `0..extent`, in pieces of `grain` or more. An `entry` of -1, -2, ...
        is the first, second, ... of the kernels that the program is linked with."""
        self._widest = max(self._widest, len(pointers) + len(values))
        flat = [word for pair in pointers for word in pair]
        self._emit(CALL, entry, extent, max(grain, 1), len(pointers), len(values), *flat, *values)

    def repeat(self, start: int, body: int, times: int, strides: Mapping[int, int]) -> bool:
        """Make one instruction of a loop that begins at `start`, if all that follows `body` is one call that is not
        split; gives whether it was. The pointers in the slots of `strides` move after each call."""
        words = self.words
        if len(words) == body or words[body] != CALL or body + words[body + 1] != len(words):
            return False
        entry, extent, grain, pointers, values = words[body + 2 : body + 7]
        if extent > grain:
            return False
        rest = list(words[body + 7 :])
        moves = [(k, strides[s]) for k, s in enumerate(rest[: 2 * pointers : 2]) if s in strides]
        del words[start:]
        flat = [word for move in moves for word in move]
        self._emit(REPEAT, times, entry, extent, pointers, values, len(moves), *rest, *flat)
        return True

    def alone(self, get: int, set: int) -> None:
        self._emit(ALONE, get, set)

    def back(self, set: int) -> None:
        self._emit(BACK, set)

    def add(self, slot: int, amount: int) -> None:
        self._emit(ADD, slot, amount)

    def swap(self, a: int, b: int) -> None:
        self._emit(SWAP, a, b)

    def set(self, slot: int, value: int) -> None:
        self._emit(SET, slot, value)

    def jump(self, target: int = 0) -> int:
        """Jump; gives a handle for `patch`, for a target that is not known yet."""
        return self._emit(JUMP, target) + 2

    def jump_if_zero(self, slot: int, offset: int, target: int = 0) -> int:
        return self._emit(JUMP_IF_ZERO, slot, offset, target) + 4

    def loop(self, slot: int, target: int) -> None:
        self._emit(LOOP, slot, target)

    def move(self, target: int, source: int, amount: int) -> None:
        self._emit(MOVE, target, source, amount)

    def tape(self) -> int:
        """A new tape, empty: the first of its slots."""
        first = self.slots
        self.slots += 3
        for slot in range(first, first + 3):
            self.set(slot, 0)
        return first

    def push(self, slot: int, tape: int, size: int, realloc: int) -> None:
        self._emit(PUSH, slot, tape, size, realloc)

    def pop(self, slot: int, tape: int, size: int, target: int = 0) -> int:
        return self._emit(POP, slot, tape, size, target) + 5

    def free(self, tape: int, function: int) -> None:
        self._emit(FREE, tape, function)

    def table(self, slot: int, offset: int, count: int) -> list[int]:
        """Jump to one of `count` targets; gives the handles for `patch`."""
        first = self._emit(TABLE, slot, offset, count, *[0] * count) + 5
        return list(range(first, first + count))

    def patch(self, handle: int) -> None:
        """Let the jump with this handle go to the next instruction."""
        self.words[handle] = self.here

    def symbol(self, name: str) -> int:
        """The word that stands for an address until the program is linked."""
        word = symbol(name)
        self.symbols.setdefault(name, word)
        return word

    def finish(self) -> array.array:
        """The words of the whole program, to be linked."""
        self._emit(HALT)
        self.words[ARGUMENTS] = self.slots
        return self.words

    def __str__(self) -> str:
        return disassemble(self.words)


@functools.cache
def symbol(name: str) -> int:
    """The word that stands for the address with this name: no other word of a program is like it."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little", signed=True)


def link(words: array.array, kernels: Sequence[int], symbols: Mapping[int, int]) -> None:
    """Put the addresses of `kernels` where calls have named them by number, and those of `symbols`."""
    at = HEADER
    while at < len(words):
        entry = at + {CALL: 2, REPEAT: 3}.get(words[at], 0)
        if entry != at and -len(kernels) <= words[entry] < 0:
            words[entry] = kernels[-1 - words[entry]]
        at += words[at + 1]
    if symbols:
        for at, word in enumerate(words):
            if word in symbols:
                words[at] = symbols[word]


def disassemble(words: Sequence[int]) -> str:
    """The text of a program, an instruction a line."""
    lines, at = [], HEADER
    while at < len(words):
        opcode, length = words[at], words[at + 1]
        operands = list(words[at + 2 : at + length])
        if opcode == HALT:
            lines.append(f"{at:5} halt")
            break
        if opcode == CALL:
            entry, extent, grain, pointers, _ = operands[:5]
            pairs = operands[5 : 5 + 2 * pointers]
            places = ", ".join(f"[{s}]+{o}" for s, o in zip(pairs[::2], pairs[1::2]))
            values = " ".join(map(str, operands[5 + 2 * pointers :]))
            lines.append(f"{at:5} call {entry:#x} 0..{extent} by {grain} ({places}; {values})")
        else:
            lines.append(f"{at:5} {NAMES[opcode]} {' '.join(map(str, operands))}")
        at += length
    return "\n".join(lines)
