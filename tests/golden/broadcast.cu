#include "funcgrad.cuh"

// one block per parallel iteration
extern "C" __global__ void broadcast_0(int64 lo, int64 hi, const float* x0, const float* x1, float* y0, int64 n1, int64 x0_s0, int64 y0_s0) {
    for (int64 i0 = lo + (int64)blockIdx.x; i0 < hi; i0 += (int64)gridDim.x) {
        for (int64 i1 = threadIdx.x; i1 < n1; i1 += blockDim.x) {
            y0[i0*y0_s0 + i1] = (x0[i0*x0_s0 + i1] * x1[i1]);
        }
    }
}
