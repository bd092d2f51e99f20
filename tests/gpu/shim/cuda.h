// What CUDA gives the kernel, for g++: warps are run one after the other, the lanes of a warp as
// fibers that hand over to the next lane at every barrier.  Forced in front of the kernel's text;
// shim.cpp, behind it, runs the grid.
#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#define SHIM 1
#define OFFSET_OF(type, field) offsetof(type, field)
#define __device__
#define __global__
#define __shared__ static
#define __constant__ static const
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

struct Dim3 {
    unsigned x, y, z;
};
static Dim3 threadIdx, blockIdx;

// -- lanes ----------------------------------------------------------------------------------------

namespace shim {
constexpr int WARP = 32;
void next_lane();
extern bool votes[WARP];
extern long barriers[WARP];
}  // namespace shim

inline void __syncwarp() {
    ++shim::barriers[threadIdx.x % shim::WARP];
    shim::next_lane();
}

inline bool __any_sync(unsigned mask, bool vote) {
    if (mask != 0xffffffffu) std::abort();
    shim::votes[threadIdx.x % shim::WARP] = vote;
    __syncwarp();
    bool any = false;
    for (bool v : shim::votes) any = any || v;
    __syncwarp();
    return any;
}

// -- memory and bits ------------------------------------------------------------------------------

template <class T>
inline T __ldg(const T *p) {
    return *p;
}
template <class T>
inline T min(T a, T b) {
    return b < a ? b : a;
}

namespace shim {
template <class To, class From>
inline To bits(From x) {
    static_assert(sizeof(To) == sizeof(From), "");
    To y;
    std::memcpy(&y, &x, sizeof y);
    return y;
}
}  // namespace shim

inline int __float_as_int(float x) { return shim::bits<std::int32_t>(x); }
inline int __double2loint(double x) { return (int)(std::uint32_t)shim::bits<std::uint64_t>(x); }
inline int __double2hiint(double x) {
    return (int)(std::uint32_t)(shim::bits<std::uint64_t>(x) >> 32);
}
inline double __hiloint2double(int high, int low) {
    return shim::bits<double>((std::uint64_t)(std::uint32_t)high << 32 | (std::uint32_t)low);
}

inline long long multiply_add(int a, int b, long long c) { return (long long)a * b + c; }
inline unsigned in_register(unsigned x) { return x; }
inline int __double2int_rn(double x) {
    return x >= 2147483647.0 ? 2147483647 : x <= -2147483648.0 ? -2147483647 - 1 : (int)std::nearbyint(x);
}
inline long long __double2ll_rn(double x) { return std::llrint(x); }

// -- arithmetic -----------------------------------------------------------------------------------

using std::exp;
using std::fma;
using std::sqrt;

// The sum rounded up: what rounding to nearest lost is known exactly (Knuth's two-sum).
inline double __dadd_ru(double a, double b) {
    const double sum = a + b, rest = sum - a, lost = (a - (sum - rest)) + (b - rest);
    return lost > 0.0 ? std::nextafter(sum, std::numeric_limits<double>::infinity()) : sum;
}

inline void sincospi(double x, double *s, double *c) {
    *s = std::sin(x * 3.14159265358979323846);
    *c = std::cos(x * 3.14159265358979323846);
}

// The hardware's approximations, no better than they are: the float64 ones read the high word of
// their argument and give the high word of a result, the float32 ones are off by an ulp or two.
inline double high_word(double x) { return __hiloint2double(__double2hiint(x), 0); }
inline float to_single(double x) { return (float)x; }
inline double to_double(float x) { return (double)x; }
inline double reciprocal_seed(double x) { return high_word(1.0 / high_word(x)); }
inline double reciprocal_root_seed(double x) { return high_word(1.0 / std::sqrt(high_word(x))); }

inline float off_by(float x, std::uint32_t ulps) {
    return shim::bits<float>(shim::bits<std::uint32_t>(x) & ~ulps);
}
inline float reciprocal_seed(float x) { return off_by(1.0f / x, 1); }
inline float reciprocal_root_seed(float x) { return off_by((float)(1.0 / std::sqrt((double)x)), 1); }
inline float power_of_two(float x) {
    return x < -126.0f ? 0.0f : off_by((float)std::exp2((double)x), 3);
}
