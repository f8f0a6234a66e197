"""The native driver: runs a program of kernel calls, and splits calls over a pool of threads.

The functions here are Numba code, compiled once into one object (`compiling.compile_driver`) and kept in the
kernel cache; a process that finds it there never imports Numba. `enter` is what Python calls, with the arrays that
are operands and results; `run` interprets a program (see program.py).
`work` is what each thread of the pool runs for the life of the process.

The pool is one block of shared words. A job is published by writing its description and then the *ticket*, which
holds the job's generation in its upper half and the next unclaimed piece in its lower half::

    ticket   generation << 32 | next piece

Everyone, the caller too, claims pieces by compare-and-swap on the ticket, so a thread that wakes late finds
either a piece of the job that it has read about, or a changed ticket. The caller waits for pieces that were
claimed, never for threads that have not started: when another process holds a core, the caller does the work.

Linux may wake a thread on the caller's core without a look for an idle one, and there it does not get to run for as
long as the caller computes: on two cores half of all bursts of calls ran on one of them. So the caller keeps the
threads that it wakes off its own core; once awake they may run on any again.
"""

from __future__ import annotations

from .native import (
    ask,
    atomic_add,
    atomic_load,
    atomic_store,
    call_entry,
    call_system,
    compare_and_swap,
    load,
    load_byte,
    load_int32,
    resize,
    store,
)
from .pool import (
    ARGS,
    ASLEEP,
    BLAS_THREADS,
    BLAS_USERS,
    BUSY,
    CORES,
    CORES_SIZE,
    ENTRY,
    EXTENT,
    FINISHED,
    GET_CORE,
    GET_THREAD,
    GRAIN,
    PIECES,
    POST,
    POST_ARGUMENT,
    SEAT,
    SEATS,
    SEMAPHORE,
    SET_CORES,
    SLEEPING,
    STARTED,
    THREAD,
    THREADS,
    TICKET,
    WAIT,
    WAIT_ARGUMENT,
)
from .program import (
    ADD,
    ALONE,
    ARGUMENTS,
    ARRAYS,
    BACK,
    CALL,
    CONTIGUOUS,
    DATA_OFFSET,
    FIRST_TAPE,
    FLAGS_OFFSET,
    FRAME,
    FREE,
    HALT,
    HEADER,
    JUMP,
    JUMP_IF_ZERO,
    LOOP,
    MOVE,
    NOT_CONTIGUOUS,
    OUT_OF_MEMORY,
    POOL,
    POP,
    PROGRAM,
    PUSH,
    REPEAT,
    RESTORE_THREAD,
    SAVE_THREAD,
    SET,
    SWAP,
    TABLE,
    TO_INT,
)

_PIECE = (1 << 32) - 1
_CLOSED = 1 << 31
_SPINS = 40000
_C_INT = (1 << 32) - 1


def run_pieces(pool):
    """Claim and run pieces of the current job until none is left; gives the number that this thread ran."""
    done = 0
    while True:
        ticket = atomic_load(pool + TICKET)
        piece = ticket & _PIECE
        if piece >= load(pool + PIECES):
            return done
        entry, args = load(pool + ENTRY), load(pool + ARGS)
        grain, extent = load(pool + GRAIN), load(pool + EXTENT)
        if compare_and_swap(pool + TICKET, ticket, ticket + 1):
            lo = piece * grain
            call_entry(entry, args, lo, min(lo + grain, extent))
            atomic_add(pool + FINISHED, 1)
            done += 1


def work(pool):
    """What a thread of the pool does: run pieces; spin a while for the next job; sleep."""
    seat = pool + SEATS + SEAT * atomic_add(pool + STARTED, 1)
    set_cores = load(pool + SET_CORES)
    if set_cores != 0:
        store(seat + THREAD, ask(load(pool + GET_THREAD), 0) & _C_INT)
    while True:
        idle = 0
        while idle < _SPINS:
            if run_pieces(pool) > 0:
                idle = 0
            idle += 1
        atomic_store(seat + ASLEEP, 1)
        atomic_add(pool + SLEEPING, 1)
        if run_pieces(pool) == 0:
            call_system(load(pool + WAIT), load(pool + SEMAPHORE), load(pool + WAIT_ARGUMENT), 0)
        atomic_add(pool + SLEEPING, -1)
        atomic_store(seat + ASLEEP, 0)
        if set_cores != 0:
            call_system(set_cores, 0, load(pool + CORES_SIZE), load(pool + CORES))


def keep_off_own_core(pool):
    """Let the threads that sleep wake up on other cores than the caller's."""
    size = load(pool + CORES_SIZE)
    own = ask(load(pool + GET_CORE), 0) & _C_INT
    if own >= 8 * size:  # a core that this process did not have when it began
        return
    others = load(pool + CORES) + size * (own + 1)
    for number in range(load(pool + STARTED)):
        seat = pool + SEATS + SEAT * number
        if atomic_load(seat + ASLEEP) != 0:
            call_system(load(pool + SET_CORES), load(seat + THREAD), size, others)


def split(pool, entry, args, extent, grain):
    """Run a kernel over `0..extent` in pieces of `grain`, with whichever threads come."""
    if load(pool + THREADS) < 2 or not compare_and_swap(pool + BUSY, 0, 1):
        call_entry(entry, args, 0, extent)
        return
    pieces = (extent + grain - 1) // grain
    generation = (load(pool + TICKET) >> 32) + 1
    atomic_store(pool + TICKET, (generation << 32) | _CLOSED)
    store(pool + ENTRY, entry)
    store(pool + ARGS, args)
    store(pool + EXTENT, extent)
    store(pool + GRAIN, grain)
    store(pool + PIECES, pieces)
    atomic_store(pool + FINISHED, 0)
    atomic_store(pool + TICKET, generation << 32)
    wake = min(atomic_load(pool + SLEEPING), pieces - 1)
    if wake > 0 and load(pool + SET_CORES) != 0:
        keep_off_own_core(pool)
    while wake > 0:
        call_system(load(pool + POST), load(pool + SEMAPHORE), load(pool + POST_ARGUMENT), 0)
        wake -= 1
    run_pieces(pool)
    while atomic_load(pool + FINISHED) < pieces:
        pass
    atomic_store(pool + BUSY, 0)


def blas_alone(pool, get, set):
    """Let BLAS compute on the calling thread only. What it used before is kept by the first of several users."""
    threads = ask(get, 0) & _C_INT
    if threads > 1:
        store(pool + BLAS_THREADS, threads)
    atomic_add(pool + BLAS_USERS, 1)
    call_system(set, 1, 0, 0)


def blas_back(pool, set):
    """Let BLAS use its threads again, when the last user leaves."""
    if atomic_add(pool + BLAS_USERS, -1) == 1 and load(pool + BLAS_THREADS) > 1:
        call_system(set, load(pool + BLAS_THREADS), 0, 0)


def run(program, frame, pool):
    """Run a program on a frame; the three arguments are addresses. Leading slots of the frame hold ids of ndarrays
    on entry, and the addresses of their elements after that. Gives 0, NOT_CONTIGUOUS, OUT_OF_MEMORY, or an unknown
    opcode."""
    count = load(program + 8 * ARRAYS)
    for slot in range(count):
        if load_int32(load(frame + 8 * slot) + FLAGS_OFFSET) & CONTIGUOUS != CONTIGUOUS:
            return NOT_CONTIGUOUS
    for slot in range(count):
        store(frame + 8 * slot, load(load(frame + 8 * slot) + DATA_OFFSET))
    block = frame + 8 * load(program + 8 * ARGUMENTS)
    at = program + 8 * HEADER
    while True:
        opcode = load(at)
        if opcode == CALL:
            pointers, values = load(at + 40), load(at + 48)
            source = at + 56
            target = block
            for _ in range(pointers):
                store(target, load(frame + 8 * load(source)) + load(source + 8))
                source += 16
                target += 8
            for _ in range(values):
                store(target, load(source))
                source += 8
                target += 8
            entry, extent, grain = load(at + 16), load(at + 24), load(at + 32)
            if extent > grain:
                split(pool, entry, block, extent, grain)
            else:
                call_entry(entry, block, 0, extent)
            at = source
        elif opcode == HALT:
            return 0
        elif opcode == LOOP:
            slot = frame + 8 * load(at + 16)
            left = load(slot) - 1
            store(slot, left)
            at = program + 8 * load(at + 24) if left > 0 else at + 32
        elif opcode == ADD:
            slot = frame + 8 * load(at + 16)
            store(slot, load(slot) + load(at + 24))
            at += 32
        elif opcode == SWAP:
            a, b = frame + 8 * load(at + 16), frame + 8 * load(at + 24)
            kept = load(a)
            store(a, load(b))
            store(b, kept)
            at += 32
        elif opcode == SET:
            store(frame + 8 * load(at + 16), load(at + 24))
            at += 32
        elif opcode == JUMP_IF_ZERO:
            byte = load_byte(load(frame + 8 * load(at + 16)) + load(at + 24))
            at = program + 8 * load(at + 32) if byte == 0 else at + 40
        elif opcode == MOVE:
            store(frame + 8 * load(at + 16), load(frame + 8 * load(at + 24)) + load(at + 32))
            at += 40
        elif opcode == JUMP:
            at = program + 8 * load(at + 16)
        elif opcode == REPEAT:
            times, entry, extent = load(at + 16), load(at + 24), load(at + 32)
            pointers, values, moving = load(at + 40), load(at + 48), load(at + 56)
            source = at + 64
            target = block
            for _ in range(pointers):
                store(target, load(frame + 8 * load(source)) + load(source + 8))
                source += 16
                target += 8
            for _ in range(values):
                store(target, load(source))
                source += 8
                target += 8
            at = source + 16 * moving
            while True:
                call_entry(entry, block, 0, extent)
                times -= 1
                if times == 0:
                    break
                for k in range(moving):
                    target = block + 8 * load(source + 16 * k)
                    store(target, load(target) + load(source + 16 * k + 8))
        elif opcode == ALONE:
            blas_alone(pool, load(at + 16), load(at + 24))
            at += 32
        elif opcode == BACK:
            blas_back(pool, load(at + 16))
            at += 24
        elif opcode == TABLE:
            number = load_int32(load(frame + 8 * load(at + 16)) + load(at + 24))
            number = max(min(number, load(at + 32) - 1), 0)
            at = program + 8 * load(at + 40 + 8 * number)
        elif opcode == PUSH:
            tape, size = frame + 8 * load(at + 24), load(at + 32)
            used = load(tape + 16)
            if used + size > load(tape + 8):
                capacity = max(max(2 * load(tape + 8), used + size), FIRST_TAPE)
                moved = resize(load(at + 40), load(tape), capacity)
                if moved == 0:
                    return OUT_OF_MEMORY
                store(tape, moved)
                store(tape + 8, capacity)
            store(frame + 8 * load(at + 16), load(tape) + used)
            store(tape + 16, used + size)
            at += 48
        elif opcode == POP:
            tape, size = frame + 8 * load(at + 24), load(at + 32)
            used = load(tape + 16) - size
            if used < 0:
                at = program + 8 * load(at + 40)
            else:
                store(frame + 8 * load(at + 16), load(tape) + used)
                store(tape + 16, used)
                at += 48
        elif opcode == FREE:
            call_system(load(at + 24), load(frame + 8 * load(at + 16)), 0, 0)
            at += 32
        else:
            return opcode


def enter(self, operands, count):
    """Run a program: a Python function (METH_FASTCALL) of ndarrays, which gives the status as an int."""
    words = load(self + DATA_OFFSET)
    frame = words + 8 * FRAME
    for k in range(count):
        store(frame + 8 * k, load(operands + 8 * k))
    program, pool = load(words + 8 * PROGRAM), load(load(words + 8 * POOL))
    save = load(words + 8 * SAVE_THREAD)
    if save == 0:
        status = run(program, frame, pool)
    else:
        thread = ask(save, 0)
        status = run(program, frame, pool)
        ask(load(words + 8 * RESTORE_THREAD), thread)
    return ask(load(words + 8 * TO_INT), status)
