#include "funcgrad.cuh"

// one block per parallel iteration
extern "C" __global__ void layernorm_0(int64 lo, int64 hi, const float* x0, const float* x1, const float* x2, float* y0, int64 n1, int64 x0_s0, int64 y0_s0, float s0, float s1) {
    for (int64 i0 = lo + (int64)blockIdx.x; i0 < hi; i0 += (int64)gridDim.x) {
        float r0 = 0.0f;
        float r0_part = 0.0f;
        for (int64 i1 = threadIdx.x; i1 < n1; i1 += blockDim.x) {
            const float v1 = x0[i0*x0_s0 + i1];
            r0_part = (r0_part + v1);
        }
        r0 = (r0 + fg::block_reduce<fg::By_add>(r0_part, 0.0f));
        float r2 = 0.0f;
        const float v4 = (r0 * s0);
        float r2_part = 0.0f;
        for (int64 i1 = threadIdx.x; i1 < n1; i1 += blockDim.x) {
            const float v3 = x0[i0*x0_s0 + i1];
            const float v5 = (v3 - v4);
            const float v6 = (v5 * v5);
            r2_part = (r2_part + v6);
        }
        r2 = (r2 + fg::block_reduce<fg::By_add>(r2_part, 0.0f));
        const float v9 = rsqrtf(((r2 * s0) + s1));
        for (int64 i1 = threadIdx.x; i1 < n1; i1 += blockDim.x) {
            const float v7 = x0[i0*x0_s0 + i1];
            const float v8 = (v7 - v4);
            const float v10 = (v8 * v9);
            y0[i0*y0_s0 + i1] = ((v10 * x1[i1]) + x2[i1]);
        }
    }
}
