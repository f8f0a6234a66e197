#include "funcgrad.cuh"

// one block per parallel iteration
extern "C" __global__ void sum_axis_0_0(int64 lo, int64 hi, float* y0, const float* x0, int64 n0, int64 x0_s0) {
    for (int64 block = lo + ((int64)blockIdx.x) * 1024; block < hi; block += (int64)gridDim.x * 1024) {
        const int64 end = fg::lesser(block + 1024, hi);
        for (int64 i1 = block + threadIdx.x; i1 < end; i1 += blockDim.x) {
            y0[i1] = 0.0f;
        }
        for (int64 i0 = 0; i0 < n0; ++i0) {
            for (int64 i1 = block + threadIdx.x; i1 < end; i1 += blockDim.x) {
                y0[i1] = (y0[i1] + x0[i0*x0_s0 + i1]);
            }
        }
    }
}
