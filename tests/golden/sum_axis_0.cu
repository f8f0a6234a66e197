#include "funcgrad.cuh"

// one block per parallel iteration
extern "C" __global__ void sum_axis_0_0(int64 lo, int64 hi, float* y0, const float* x0, int64 n0, int64 x0_s0) {
    for (int64 block = lo + (int64)blockIdx.x; block < hi; block += (int64)gridDim.x) {
        for (int64 i1 = threadIdx.x; i1 < 50; i1 += blockDim.x) {
            y0[i1] = 0.0f;
        }
        for (int64 i0 = 0; i0 < n0; ++i0) {
            for (int64 i1 = threadIdx.x; i1 < 50; i1 += blockDim.x) {
                y0[i1] = (y0[i1] + x0[i0*x0_s0 + i1]);
            }
        }
    }
}
