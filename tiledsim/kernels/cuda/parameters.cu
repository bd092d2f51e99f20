// What the kernel in bragg.cu is given, and its arithmetic.
//
// source.py puts the specialisation, the polynomials and the layout of Parameters in front of this
// text as macros, and index.cu, pixels.cu, crystal.cu and bragg.cu behind it.  There is no #include:
// the text compiles with NVRTC alone, and with g++ behind tests/gpu/shim/cuda.h.

typedef long long Index;
typedef unsigned long long Address;
#if MIXED
typedef float real;
#else
typedef double real;
#endif

#define EACH_AXIS _Pragma("unroll") for (int v = 0; v < 3; ++v)

struct Parameters {
    const double *orientations;  // [M, 3 (a, b, c), 3]
    const double *incident;      // [directions, 3], as are the next two
    const double *vertical;
    const double *horizontal;
    const double *direction_weight;    // [directions], the sum over its sources
    const Index *direction_first;      // [directions + 1], its first source
    const double *inverse_wavelength;  // [S]
    const double *weight;              // [S]
    const real *factors;               // [size], F for interpolation, else F squared
                                       // DISPERSIVE: complex [size, 1 + ELEMENTS]
    const real *dispersion;            // complex [S, ELEMENTS], f' + i f''
    const unsigned char *rendered;     // [rows, cols], or null where all are
    double *image;                     // [rows, cols]
    Index orientation_count, direction_count;
    Index slow_start, fast_start, rows, cols;
    Index patch_slow, patch_fast;  // the first pixel of the first patch
    Index patches, patches_across;
    Index first_ray, last_ray, first_orientation, stop_orientation;  // the steps of this launch
    double origin[3], fast[3], slow[3], normal[3], straight[3];
    double subpixel, area, inverse_distance, layer_step, layer_attenuation, dmin, polarization;
    double amplitude, water_start, water_own, scale;
    double axis_scale, step_scale, index_scale;  // of whole numbers, ANCHORED
    Index index_half;                            // half of what index_shift leaves out
    double counts[3];  // cells along a, b, c; times the root of the fudge factor for `round`
    real triangle[6];  // upper triangle R of |R delta|^2, the exponent or the top hat's argument
    int oversample, layers, index_shift;
    unsigned cells[3];
    int shift[3];  // from a reflection's number to its element of the table
    unsigned size[3];
};

#define CHECK_OFFSET(field, bytes) \
    static_assert(OFFSET_OF(Parameters, field) == bytes, "layout of " #field);
PARAMETERS_LAYOUT(CHECK_OFFSET)
static_assert(sizeof(Parameters) == PARAMETERS_BYTES, "size of Parameters");

// -- arithmetic -----------------------------------------------------------------------------------

#define DEVICE __device__ __forceinline__

#ifndef SHIM
DEVICE double reciprocal_seed(double x) {
    double y;
    asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(x));
    return y;
}
DEVICE double reciprocal_root_seed(double x) {
    double y;
    asm("rsqrt.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(x));
    return y;
}
DEVICE float reciprocal_seed(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEVICE float reciprocal_root_seed(float x) {
    float y;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEVICE float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
// One instruction; of what C++ says the compiler makes products of 64 bits by 64.
DEVICE Index multiply_add(int a, int b, Index c) {
    Index sum;
    asm("mad.wide.s32 %0, %1, %2, %3;" : "=l"(sum) : "r"(a), "r"(b), "l"(c));
    return sum;
}
// A number that stays where it is: the compiler would form it again, with float64, in each step.
DEVICE unsigned in_register(unsigned x) {
    unsigned y;
    asm volatile("mov.u32 %0, %1;" : "=r"(y) : "r"(x));
    return y;
}
#endif

DEVICE double fused(double a, double b, double c) { return fma(a, b, c); }
DEVICE float fused(float a, float b, float c) { return fmaf(a, b, c); }

// The seeds of float64 are good to 20 bits; one step of third order makes that 60.
DEVICE double inverse(double x) {
    const double y = reciprocal_seed(x), e = fma(-x, y, 1.0);
    return fma(y, fma(e, e, e), y);
}
DEVICE double inverse_root(double x) {
    const double y = reciprocal_root_seed(x), e = fma(-x * y, y, 1.0);
    return fma(y * e, fma(e, 0.375, 0.5), y);
}
DEVICE float inverse(float x) { return reciprocal_seed(x); }
DEVICE float inverse_root(float x) {
    const float y = reciprocal_root_seed(x);
    return fmaf(0.5f * y, fmaf(-x * y, y, 1.0f), y);
}

template <int n>
DEVICE real horner(const real (&c)[n], real x) {
    real sum = c[n - 1];
#pragma unroll
    for (int i = n - 2; i >= 0; --i) sum = fused(sum, x, c[i]);
    return sum;
}

DEVICE double dot(const double *a, const double *b) {
    return fma(a[0], b[0], fma(a[1], b[1], a[2] * b[2]));
}

// In float64 the coefficients lie in constant memory, which a multiply-add reads by itself: as parts
// of the program each would take two moves.  A float32 is part of its instruction.
#if MIXED
#define COEFFICIENTS constexpr real
#else
#define COEFFICIENTS __constant__ real
#endif
#if SHAPE == SQUARE || SHAPE == ROUND
COEFFICIENTS sinpi_powers[] = SINPI;
DEVICE real sinpi_over_x(real z) { return horner(sinpi_powers, z); }
#endif
#if SHAPE == ROUND
COEFFICIENTS cospi_powers[] = COSPI, sinc3_powers[] = SINC3;
#endif
#if SHAPE == GAUSS && !MIXED
COEFFICIENTS exp_powers[] = EXP;
#endif
