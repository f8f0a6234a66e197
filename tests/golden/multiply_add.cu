#include "funcgrad.cuh"

// one thread per parallel iteration
extern "C" __global__ void multiply_add_0(int64 lo, int64 hi, const float* x0, const float* x1, float* y0) {
    for (int64 i0 = lo + (int64)blockIdx.x * blockDim.x + threadIdx.x; i0 < hi; i0 += (int64)gridDim.x * blockDim.x) {
        const float v0 = x0[i0];
        y0[i0] = ((v0 * x1[i0]) + v0);
    }
}
