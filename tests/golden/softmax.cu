#include "funcgrad.cuh"

// one block per parallel iteration
extern "C" __global__ void softmax_0(int64 lo, int64 hi, const float* x0, float* y0, int64 n1, int64 x0_s0, int64 y0_s0) {
    for (int64 i0 = lo + (int64)blockIdx.x; i0 < hi; i0 += (int64)gridDim.x) {
        float r0 = (-fg::inf<float>());
        float r0_part = (-fg::inf<float>());
        for (int64 i1 = threadIdx.x; i1 < n1; i1 += blockDim.x) {
            const float v1 = x0[i0*x0_s0 + i1];
            r0_part = fg::maximum(r0_part, v1);
        }
        r0 = fg::maximum(r0, fg::block_reduce<fg::By_max>(r0_part, (-fg::inf<float>())));
        float r2 = 0.0f;
        float r2_part = 0.0f;
        for (int64 i1 = threadIdx.x; i1 < n1; i1 += blockDim.x) {
            const float v3 = x0[i0*x0_s0 + i1];
            const float v4 = expf((v3 - r0));
            y0[i0*y0_s0 + i1] = v4;
            r2_part = (r2_part + v4);
        }
        r2 = (r2 + fg::block_reduce<fg::By_add>(r2_part, 0.0f));
        for (int64 i1 = threadIdx.x; i1 < n1; i1 += blockDim.x) {
            const float v5 = y0[i0*y0_s0 + i1];
            y0[i0*y0_s0 + i1] = (v5 / r2);
        }
    }
}
