// Runs CUDA C without a GPU: include it before the kernels, compile with a C++17 compiler, call
// emulate::launch. Each CUDA thread is a fibre that runs until it meets others at a barrier or a shuffle.
// Next is the fibre of the highest rank that can run; ranks are drawn from a seed, and at times anew, so that
// some threads fall far behind where no barrier holds the others.
#ifndef FUNCGRAD_EMULATE_H
#define FUNCGRAD_EMULATE_H

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct Dim { unsigned x, y, z; };
static Dim threadIdx, blockIdx, blockDim, gridDim;

namespace emulate {

enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Fibre {
    ucontext_t context;
    std::vector<char> stack;
    State state;
    unsigned rank;
    char lane[8];  // what it gives to a shuffle
};
static std::vector<Fibre> fibres;
static ucontext_t scheduler;
static std::function<void()> body;
static const size_t STACK = 64 * 1024;

static void wait_at(State where) {
    Fibre& self = fibres[threadIdx.x];
    self.state = where;
    swapcontext(&self.context, &scheduler);
}

static void enter() {
    body();
    fibres[threadIdx.x].state = DONE;
    swapcontext(&fibres[threadIdx.x].context, &scheduler);
}

// Lets threads first..last go on if all that still run have come to `where`.
static void release(State where, size_t first, size_t last) {
    bool any = false;
    for (size_t k = first; k < last; ++k) {
        if (fibres[k].state != where && fibres[k].state != DONE) return;
        any = any || fibres[k].state == where;
    }
    for (size_t k = first; any && k < last; ++k)
        if (fibres[k].state == where) fibres[k].state = READY;
}

static void run_block(Dim block, unsigned threads, std::mt19937& random) {
    for (Fibre& f : fibres) {
        f.state = READY;
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = f.stack.size();
        f.context.uc_link = nullptr;
        makecontext(&f.context, enter, 0);
    }
    for (Fibre& f : fibres) f.rank = random();
    for (;;) {
        bool done = true;
        unsigned next = threads;
        for (unsigned k = 0; k < threads; ++k) {
            if (fibres[k].state == READY && (next == threads || fibres[k].rank > fibres[next].rank)) next = k;
            done = done && fibres[k].state == DONE;
        }
        if (done) return;
        if (next == threads) {
            std::fprintf(stderr, "block %u, %u: its threads wait at different barriers\n", block.x, block.y);
            std::abort();
        }
        if (random() % 64 == 0) fibres[next].rank = random();
        threadIdx.x = next;
        blockIdx = block;
        swapcontext(&scheduler, &fibres[next].context);
        const size_t warp = next / 32 * 32;
        release(AT_WARP, warp, warp + 32 < threads ? warp + 32 : threads);
        release(AT_BLOCK, 0, threads);
    }
}

static void launch(Dim grid, unsigned threads, unsigned seed, std::function<void()> kernel) {
    std::mt19937 random(seed);
    body = kernel;
    blockDim = Dim{threads, 1, 1};
    gridDim = grid;
    fibres.resize(threads);
    for (Fibre& f : fibres) f.stack.resize(STACK);
    std::vector<unsigned> order(grid.x * grid.y);
    for (unsigned k = 0; k < order.size(); ++k) order[k] = k;
    std::shuffle(order.begin(), order.end(), random);
    for (unsigned k : order) run_block(Dim{k % grid.x, k / grid.x, 0}, threads, random);
}

template <class T> static T shuffle(T value, unsigned from) {
    std::memcpy(fibres[threadIdx.x].lane, &value, sizeof(T));
    wait_at(AT_WARP);
    if (from / 32 == threadIdx.x / 32 && from < fibres.size())
        std::memcpy(&value, fibres[from].lane, sizeof(T));
    wait_at(AT_WARP);
    return value;
}

template <class T, class F> static T exchange(T* place, F next) {
    const T old = *place;
    *place = next(old);
    return old;
}

}  // namespace emulate

static inline void __syncthreads() { emulate::wait_at(emulate::AT_BLOCK); }
template <class T> static T __shfl_down_sync(unsigned, T x, int by) { return emulate::shuffle(x, threadIdx.x + by); }
template <class T> static T __shfl_xor_sync(unsigned, T x, int by) { return emulate::shuffle(x, threadIdx.x ^ by); }
template <class T> static T atomicAdd(T* p, T x) { return emulate::exchange(p, [&](T y) { return (T)(y + x); }); }
template <class T> static T atomicMax(T* p, T x) { return emulate::exchange(p, [&](T y) { return y > x ? y : x; }); }
template <class T> static T atomicMin(T* p, T x) { return emulate::exchange(p, [&](T y) { return y < x ? y : x; }); }

static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(x); }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }

// By Newton's method from a rational start; good to a few ulp away from the ends.
static inline double erfinv(double x) {
    if (!(x > -1 && x < 1)) return x == 1 ? INFINITY : x == -1 ? -INFINITY : NAN;
    const double l = log1p(-x * x), a = 4.330746750799873 + l / 2;
    double y = copysign(sqrt(sqrt(a * a - l / 0.147) - a), x);
    for (int k = 0; k < 4; ++k) y -= (erf(y) - x) * 0.886226925452758 * exp(y * y);
    return x == 0 ? x : y;
}
static inline float erfinvf(float x) { return (float)erfinv(x); }

#endif
