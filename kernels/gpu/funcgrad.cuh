// Scalar operations of the loop IR and block-wide reductions, for kernels that funcgrad prints as CUDA C.
// Includes nothing, so that nvcc and NVRTC take it as it is; emulate.h stands in for a GPU before it.
//
// Floats follow IEEE 754; maximum and minimum give NaN beside NaN; integer arithmetic wraps around, division
// goes towards zero, x/0 = -1, x%0 = x; shifts by the width or more give 0, or the sign; conversions to
// integers stop at the ends of the range, NaN gives 0. 16-bit floats are their bits.
#ifndef FUNCGRAD_CUH
#define FUNCGRAD_CUH

typedef signed char int8;
typedef unsigned char uint8;
typedef short int16;
typedef unsigned short uint16;
typedef int int32;
typedef unsigned int uint32;
typedef long long int64;
typedef unsigned long long uint64;

namespace fg {

template <class To, class From> __device__ inline To bits(From x) {
    static_assert(sizeof(To) == sizeof(From), "bits of another width");
    To y;
    memcpy(&y, &x, sizeof(To));
    return y;
}

template <class T> __device__ inline T inf();
template <> __device__ inline float inf<float>() { return bits<float>(0x7f800000u); }
template <> __device__ inline double inf<double>() { return bits<double>(0x7ff0000000000000ull); }
template <class T> __device__ inline T nan();
template <> __device__ inline float nan<float>() { return bits<float>(0x7fc00000u); }
template <> __device__ inline double nan<double>() { return bits<double>(0x7ff8000000000000ull); }

// ------------------------------------------------------------------------------------- addresses and sizes
__device__ inline int64 lesser(int64 a, int64 b) { return a < b ? a : b; }
__device__ inline int64 greater(int64 a, int64 b) { return a > b ? a : b; }
__device__ inline int64 floor_div(int64 a, int64 b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
__device__ inline int64 floor_mod(int64 a, int64 b) { return a - floor_div(a, b) * b; }

// ------------------------------------------------------------------------------ what functions of users use
// An array with its elements in the order of C: x.shape[0], x.size(), x(i, j), and x[k] for the k-th element.
template <class T, int N> struct Array {
    T* data;
    int64 shape[N];
    __device__ int64 size() const {
        int64 n = 1;
        for (int k = 0; k < N; ++k) n *= shape[k];
        return n;
    }
    __device__ T& operator[](int64 k) const { return data[k]; }
    template <class... I> __device__ T& operator()(I... at) const {
        static_assert(sizeof...(I) == N, "an index for each axis");
        const int64 index[] = {(int64)at...};
        int64 k = 0;
        for (int axis = 0; axis < N; ++axis) k = k * shape[axis] + index[axis];
        return data[k];
    }
};
// The number of this thread among those that share an example, and how many they are.
__device__ inline int64 thread() { return (int64)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline int64 threads() { return (int64)gridDim.x * blockDim.x; }

// -------------------------------------------------------------------------------------- integer arithmetic
template <class T> __device__ inline T add(T a, T b) { return (T)((uint64)a + (uint64)b); }
template <class T> __device__ inline T sub(T a, T b) { return (T)((uint64)a - (uint64)b); }
template <class T> __device__ inline T mul(T a, T b) { return (T)((uint64)a * (uint64)b); }
template <class T> __device__ inline T neg(T a) { return (T)(0 - (uint64)a); }
template <class T> __device__ inline bool is_signed() { return (T)-1 < (T)0; }

template <class T> __device__ inline T div(T a, T b) {
    if (b == 0) return (T)-1;
    if (is_signed<T>() && b == (T)-1) return neg(a);
    return (T)(a / b);
}
template <class T> __device__ inline T rem(T a, T b) {
    if (b == 0) return a;
    if (is_signed<T>() && b == (T)-1) return 0;
    return (T)(a % b);
}
template <class T> struct Unsigned { typedef T type; };
template <> struct Unsigned<int8> { typedef uint8 type; };
template <> struct Unsigned<int16> { typedef uint16 type; };
template <> struct Unsigned<int32> { typedef uint32 type; };
template <> struct Unsigned<int64> { typedef uint64 type; };

template <class T> __device__ inline bool too_far(T by) {
    return (typename Unsigned<T>::type)by >= 8 * sizeof(T);
}
template <class T> __device__ inline T shift_left(T x, T by) { return too_far(by) ? (T)0 : (T)((uint64)x << by); }
template <class T> __device__ inline T shift_right_logical(T x, T by) {
    return too_far(by) ? (T)0 : (T)((typename Unsigned<T>::type)x >> by);
}
template <class T> __device__ inline T shift_right_arithmetic(T x, T by) {
    const int shift = too_far(by) ? 8 * (int)sizeof(T) - 1 : (int)by;
    const bool fill = x < 0 || (!is_signed<T>() && (x >> (8 * sizeof(T) - 1)) != 0);
    const uint64 wide = fill ? ~(uint64)(typename Unsigned<T>::type)~x : (uint64)x;
    return (T)((int64)wide >> shift);
}
template <class T> __device__ inline T population_count(T x) {
    return (T)__popcll((uint64)(typename Unsigned<T>::type)x);
}
template <class T> __device__ inline T clz(T x) {
    return (T)(__clzll((int64)(uint64)(typename Unsigned<T>::type)x) - (64 - 8 * (int)sizeof(T)));
}

// ------------------------------------------------------------------------------- both integers and floats
template <class T> __device__ inline T maximum(T a, T b) { return a > b || a != a ? a : b; }
template <class T> __device__ inline T minimum(T a, T b) { return a < b || a != a ? a : b; }
template <class T> __device__ inline T clamp(T low, T x, T high) { return minimum(maximum(x, low), high); }
template <class T> __device__ inline T select(bool p, T a, T b) { return p ? a : b; }
template <class T> __device__ inline T abs(T x) { return x < 0 ? neg(x) : x; }
__device__ inline float abs(float x) { return fabsf(x); }
__device__ inline double abs(double x) { return fabs(x); }
template <class T> __device__ inline T sign(T x) { return x > 0 ? (T)1 : x < 0 ? (T)-1 : x; }
template <class T> __device__ inline T square(T x) { return mul(x, x); }
__device__ inline float square(float x) { return x * x; }
__device__ inline double square(double x) { return x * x; }

// --------------------------------------------------------------------------------------------- floats only
__device__ inline float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ inline double logistic(double x) { return 1.0 / (1.0 + exp(-x)); }
__device__ inline float erf_inv(float x) { return erfinvf(x); }
__device__ inline double erf_inv(double x) { return erfinv(x); }
__device__ inline float round_even(float x) { return rintf(x); }
__device__ inline double round_even(double x) { return rint(x); }
__device__ inline float round_away(float x) { return roundf(x); }
__device__ inline double round_away(double x) { return round(x); }
__device__ inline bool is_finite(float x) { return fabsf(x) < inf<float>(); }
__device__ inline bool is_finite(double x) { return fabs(x) < inf<double>(); }

// --------------------------------------------------------------------------------------------- conversions
template <class T, class F> __device__ inline T to_integer(F x) {
    const int digits = 8 * (int)sizeof(T) - (is_signed<T>() ? 1 : 0);
    const F end = (F)(1ull << (digits - 1)) * (F)2;  // one more than the largest
    const T largest = (T)(~0ull >> (64 - digits));
    if (x != x) return 0;
    if (x >= end) return largest;
    if (is_signed<T>()) return x <= -end ? (T)(-(int64)largest - 1) : (T)x;
    return x <= 0 ? (T)0 : (T)x;
}

// ------------------------------------------------------------------- Python's arithmetic, for users' functions
__device__ inline int64 floor_divide(int64 a, int64 b) { return b == 0 ? 0 : b == -1 ? neg(a) : floor_div(a, b); }
__device__ inline int64 floor_remainder(int64 a, int64 b) { return b == 0 || b == -1 ? 0 : floor_mod(a, b); }
template <class T> __device__ inline T floor_remainder(T a, T b) {
    const T rest = fmod(a, b);
    if (rest == 0) return b < 0 ? -(T)0 : (T)0;
    return (rest < 0) != (b < 0) ? rest + b : rest;
}
template <class T> __device__ inline T floor_divide(T a, T b) {
    const T quotient = (a - floor_remainder(a, b)) / b, down = floor(quotient);
    return quotient - down > (T)0.5 ? down + 1 : down;
}
template <class T> __device__ inline T to_power(T x, int64 n) {
    T result = 1;
    for (uint64 k = n < 0 ? 0 - (uint64)n : (uint64)n; k; k >>= 1, x *= x) result *= k & 1 ? x : (T)1;
    return n < 0 ? (T)1 / result : result;
}
__device__ inline int64 to_power(int64 x, int64 n) {
    if (n < 0) return x == 1 || (x == -1 && n % 2 == 0) ? 1 : x == -1 ? -1 : 0;
    int64 result = 1;
    for (; n; n >>= 1, x = mul(x, x)) result = n & 1 ? mul(result, x) : result;
    return result;
}

__device__ inline float bf16_to_f32(uint16 b) { return bits<float>((uint32)b << 16); }
__device__ inline uint16 f32_to_bf16(float x) {
    const uint32 b = bits<uint32>(x);
    if (x != x) return (uint16)((b | 0x400000u) >> 16);
    return (uint16)((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}
__device__ inline float f16_to_f32(uint16 h) {
    const uint32 magnitude = (uint32)(h & 0x7fff) << 13;
    const float scaled = bits<float>(magnitude) * 5.192296858534828e33f;  // 2**112
    const uint32 b = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : bits<uint32>(scaled);
    return bits<float>(b | ((uint32)(h & 0x8000) << 16));
}
__device__ inline uint16 f32_to_f16(float x) {
    const uint32 b = bits<uint32>(x) & 0x7fffffffu, sign_bit = (bits<uint32>(x) >> 16) & 0x8000u;
    uint32 value;
    if (x != x) value = 0x7e00u;
    else if (b >= 0x47800000u) value = 0x7c00u;
    else if (b < 0x38800000u) value = bits<uint32>(fabsf(x) + 0.5f) - 0x3f000000u;  // a multiple of 2**-24
    else value = ((b + 0xfffu + ((b >> 13) & 1u)) >> 13) - 0x1c000u;
    return (uint16)(value | sign_bit);
}

// -------------------------------------------------------------------------------------- block-wide reductions

__device__ inline float plus(float a, float b) { return a + b; }
__device__ inline double plus(double a, double b) { return a + b; }
template <class T> __device__ inline T plus(T a, T b) { return add(a, b); }
__device__ inline bool plus(bool a, bool b) { return a || b; }
__device__ inline float times(float a, float b) { return a * b; }
__device__ inline double times(double a, double b) { return a * b; }
template <class T> __device__ inline T times(T a, T b) { return mul(a, b); }

struct By_add { template <class T> static __device__ inline T of(T a, T b) { return plus(a, b); } };
struct By_mul { template <class T> static __device__ inline T of(T a, T b) { return times(a, b); } };
struct By_max { template <class T> static __device__ inline T of(T a, T b) { return maximum(a, b); } };
struct By_min { template <class T> static __device__ inline T of(T a, T b) { return minimum(a, b); } };
struct By_and { template <class T> static __device__ inline T of(T a, T b) { return (T)(a & b); } };
struct By_or { template <class T> static __device__ inline T of(T a, T b) { return (T)(a | b); } };

// A narrow value travels between lanes as an int.
template <class T> struct Lane { typedef int type; };
template <> struct Lane<uint32> { typedef uint32 type; };
template <> struct Lane<int64> { typedef int64 type; };
template <> struct Lane<uint64> { typedef uint64 type; };
template <> struct Lane<float> { typedef float type; };
template <> struct Lane<double> { typedef double type; };

template <class By, class T> __device__ inline T warp_reduce(T x) {
    for (int apart = 16; apart > 0; apart /= 2)
        x = By::of(x, (T)__shfl_down_sync(0xffffffffu, (typename Lane<T>::type)x, apart));
    return x;
}

// The combination of `part` over the block, for all of its threads; `start` changes nothing. The size of the
// block is a multiple of 32, and all of its threads come here.
template <class By, class T> __device__ inline T block_reduce(T part, T start) {
    __shared__ T of_warp[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    part = warp_reduce<By>(part);
    if (lane == 0) of_warp[warp] = part;
    __syncthreads();  // every warp's part is there
    if (warp == 0) {
        part = warp_reduce<By>(lane < warps ? of_warp[lane] : start);
        if (lane == 0) of_warp[0] = part;
    }
    __syncthreads();  // the result is there
    part = of_warp[0];
    __syncthreads();  // it was read by all, and may be overwritten
    return part;
}

}  // namespace fg

#endif
