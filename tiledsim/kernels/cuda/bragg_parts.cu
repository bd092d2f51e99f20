// What the kernel in bragg.cu is made of: its parameters, arithmetic, pixels and crystals.
//
// cuda_source.py puts the specialisation, the polynomials and the layout of Parameters in front of
// this text as macros, and bragg.cu behind it.  There is no #include: the text compiles with NVRTC
// alone, and with g++ behind tests/gpu/shim/cuda.h.

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
    double origin[3], fast[3], slow[3], normal[3], straight[3];
    double subpixel, area, inverse_distance, layer_step, layer_attenuation, dmin, polarization;
    double amplitude, water_start, water_own, scale;
    double counts[3];  // cells along a, b, c; times the root of the fudge factor for `round`
    real triangle[6];  // upper triangle R of |R delta|^2, the exponent or the top hat's argument
    int oversample, layers;
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
DEVICE real sinpi_over_x(real z) {
    constexpr real c[] = SINPI;
    return horner(c, z);
}

// Adding it leaves a whole number in the low bits.
#define ROUNDER 6755399441055744.0

// Where a Miller index lies: its distance from the nearest reflection, and that one's number.
struct Offset {
    real delta;
    unsigned number;
#if MIXED
    int fraction;  // delta in units of 2^-32
#if SHAPE == ROUND
    double exact;  // delta
#endif
#endif
};
#if MIXED
// An index to which 1.5 x 2^20 was added is a fixed-point number: 32 bits of fraction, in two's
// complement the distance from the nearest reflection, and above them the whole part.
#define INDEX_ORIGIN 1572864.0
#define INDEX_ORIGIN_WORD 0x41380000u
DEVICE Offset locate(double index) {
    const int fraction = __double2loint(index);
    const unsigned above = (unsigned)__double2hiint(index) + ((unsigned)fraction >> 31);
    const unsigned number = above - INDEX_ORIGIN_WORD;
#if SHAPE == ROUND
    const double exact = index - __hiloint2double((int)above, 0);
    return {(float)exact, number, fraction, exact};
#else
    return {(float)fraction * 0x1p-32f, number, fraction};
#endif
}
#else
// The nearest is ceil(x - 1/2); rounding a sum up does that.
#define INDEX_ORIGIN 0.0
DEVICE Offset locate(double index) {
    const double sum = __dadd_ru(index - 0.5, ROUNDER);
    return {index - (sum - ROUNDER), (unsigned)__double2loint(sum)};
}
#endif

DEVICE double dot(const double *a, const double *b) {
    return fma(a[0], b[0], fma(a[1], b[1], a[2] * b[2]));
}

// -- pixels, before the crystal comes in ------------------------------------------------------------

struct Look {
    double direction[3];
    double inverse_airpath;
};

DEVICE void rotate(double *v, const double *axis, double angle) {
    double s, c;
    sincospi(angle * 0.31830988618379067154, &s, &c);
    const double along = dot(axis, v) * (1.0 - c);
    const double x = v[0], y = v[1], z = v[2];
    v[0] = fma(axis[0], along, x * c) + (axis[1] * z - axis[2] * y) * s;
    v[1] = fma(axis[1], along, y * c) + (axis[2] * x - axis[0] * z) * s;
    v[2] = fma(axis[2], along, z * c) + (axis[0] * y - axis[1] * x) * s;
}

// The direction of a place on the detector, given in subpixels from the outer corner of pixel 0,0.
DEVICE Look look_at(const Parameters &p, double slow, double fast, int layer) {
    const double f = p.subpixel * fast, s = p.subpixel * slow, o = p.layer_step * layer;
    double at[3];
    EACH_AXIS at[v] = fma(o, p.normal[v], fma(s, p.slow[v], p.origin[v])) + f * p.fast[v];
#if CURVED
    const double about_slow = at[1] * p.inverse_distance, about_fast = at[2] * p.inverse_distance;
    EACH_AXIS at[v] = p.straight[v];
    rotate(at, p.slow, about_slow);
    rotate(at, p.fast, about_fast);
#endif
    Look look;
    look.inverse_airpath = inverse_root(dot(at, at));
    EACH_AXIS look.direction[v] = at[v] * look.inverse_airpath;
    return look;
}

DEVICE Look look_at_subpixel(const Parameters &p, Index slow, Index fast, int sub, int layer) {
#if SUBPIXELS
    const int sub_slow = sub / p.oversample;
    return look_at(
        p, (double)(slow * p.oversample + sub_slow) + 0.5,
        (double)(fast * p.oversample + (sub - sub_slow * p.oversample)) + 0.5, layer);
#else
    return look_at(p, (double)slow + 0.5, (double)fast + 0.5, layer);
#endif
}

DEVICE double solid_angle(const Parameters &p, const Look &look) {
    const double inverse_square = look.inverse_airpath * look.inverse_airpath;
#if POINT_PIXEL
    return inverse_square;
#else
    return p.area * inverse_square * look.inverse_airpath;
#endif
}

DEVICE double captured(const Parameters &p, const Look &look, int layer) {
#if ABSORBING
    // A curved sensor is met at right angles everywhere.
    const double slant = RADIAL_SENSOR ? 1.0 : inverse(dot(look.direction, p.normal));
    const double depth = p.layer_attenuation * slant;
    return exp(-layer * depth) - exp(-(layer + 1) * depth);
#else
    return 1.0;
#endif
}

DEVICE double polarized(const Parameters &p, const double *d, Index direction) {
#if POLARIZATION == NONE
    return 1.0;
#else
    const double c = dot(d, p.incident + 3 * direction);
#if POLARIZATION == PLAIN
    return fma(0.5 * c, c, 0.5);
#else
    const double e = dot(d, p.horizontal + 3 * direction);
    const double b = dot(d, p.vertical + 3 * direction);
    // cos 2psi without the angle psi = -atan2(b, e); straight ahead psi is 0.
    const double norm = fma(e, e, b * b);
    const double cos_2psi = norm == 0.0 ? 1.0 : fma(e, e, -b * b) * inverse(norm);
    return 0.5 * (fma(c, c, 1.0) - p.polarization * cos_2psi * fma(-c, c, 1.0));
#endif
#endif
}

// Whether the resolution cut keeps a scattering vector.
DEVICE bool within_resolution(const Parameters &p, const double *q) {
    const double stol = 0.5 * sqrt(dot(q, q));
    return !(stol > 0.0 && p.dmin > 0.5 / stol);
}

// -- the crystal ------------------------------------------------------------------------------------

// Squared lattice factor over p.amplitude.
DEVICE real lattice(const Parameters &p, const Offset *at) {
#if SHAPE == SQUARE
    // sin piNh and sin piNd differ by a sign only; so do those of Nd and of its fraction.  TINY
    // makes the ratio N on a reflection itself, and is lost in rounding elsewhere.
    real top = 1, bottom = 1;
    EACH_AXIS {
        const real n = (real)p.counts[v], d = at[v].delta;
#if MIXED
        const real u = (float)(int)(p.cells[v] * (unsigned)at[v].fraction) * 0x1p-32f;
#else
        const real u = fma(n, d, -(fma(n, d, ROUNDER) - ROUNDER));
#endif
        const real t = fused(u, sinpi_over_x(u * u), n * TINY);
        const real b = fused(d, sinpi_over_x(d * d), TINY);
        top = v == 0 ? t : top * t;
        bottom = v == 0 ? b : bottom * b;
    }
    const real ratio = top * inverse(bottom);
    return ratio * ratio;
#elif SHAPE == ROUND
    constexpr real cosine[] = COSPI, series[] = SINC3;
    // The number of turns is formed in float64: near the first zeros of sinc3 a few ulps of float32
    // in it are a large part of what is left.
    double square = TINY;
    EACH_AXIS {
#if MIXED
        const double u = p.counts[v] * at[v].exact;
#else
        const double u = p.counts[v] * at[v].delta;
#endif
        square = fma(u, u, square);
    }
    const real one_over = inverse_root((real)square);
    double turns = square * one_over;
#if MIXED
    turns = fma(0.5 * one_over, fma(-turns, turns, square), turns);
#endif
    const real f = (real)(turns - ((turns + ROUNDER) - ROUNDER)), z = f * f;
    const real y = one_over * (real)0.31830988618379067154, sine = f * sinpi_over_x(z);
    const real far = (real)3 * (sine * y - horner(cosine, z)) * (y * y);
    const real near = horner(series, (real)square * (real)9.8696044010893586188);
    const real value = (real)turns < (real)SERIES_TURNS ? near : far;
#if SINC3_VANISHES && !MIXED  // 32 bits of fraction do not tell 0 from what is next to it
    if (square > 2.0 * TINY && square * 9.8696044010893586188 < SINC3_CANCELS) return 0;
#endif
    return value * value;
#else
    const real *t = p.triangle;
    const real x = fused(t[0], at[0].delta, fused(t[1], at[1].delta, t[2] * at[2].delta));
    const real y = fused(t[3], at[1].delta, t[4] * at[2].delta);
    const real z = t[5] * at[2].delta;
    const real w = fused(x, x, fused(y, y, z * z));
#if SHAPE == TOPHAT
    return w < (real)0.3969 ? (real)1 : (real)0;
#elif MIXED
    return power_of_two(-w);
#else
    constexpr double c[] = EXP;
    const double faint = fmin(w, FAINTEST);
    const double sum = fma(-faint, 1.44269504088896338700, ROUNDER), n = sum - ROUNDER;
    const double part = horner(c, fma(n, -LN2_LOW, fma(n, -LN2_HIGH, -faint)));
    const unsigned high = (unsigned)__double2hiint(part) + ((unsigned)__double2loint(sum) << 20);
    return w > 2.0 * EXP_UNDERFLOW ? 0.0 : __hiloint2double((int)high, __double2loint(part));
#endif
#endif
}

#if FACTORS != UNIFORM
DEVICE Address place(const Parameters &p, unsigned i, unsigned j, unsigned k) {
    return (Address)(i * p.size[1] + j) * p.size[2] + k;
}
DEVICE unsigned element(const Parameters &p, const Offset *at, int v) {
    return at[v].number + (unsigned)p.shift[v];
}
// Outside the table its border answers; what is below 0 is a large number, and the border is one.
DEVICE Address nearest_place(const Parameters &p, const Offset *at) {
    return place(
        p, min(element(p, at, 0), p.size[0] - 1), min(element(p, at, 1), p.size[1] - 1),
        min(element(p, at, 2), p.size[2] - 1));
}
DEVICE real nearest_factor(const Parameters &p, const Offset *at) {
    return __ldg(p.factors + nearest_place(p, at));
}
#endif

#if FACTORS == DISPERSIVE
// |F + sum (f' + i f'') A|^2 of the nearest reflection, the sum over the elements, for a source.
DEVICE real dispersive(const Parameters &p, const Offset *at, Index source) {
    const real *const parts = p.factors + nearest_place(p, at) * (2 + 2 * ELEMENTS);
    const real *const f = p.dispersion + source * (2 * ELEMENTS);
    real x = __ldg(parts), y = __ldg(parts + 1);
#pragma unroll
    for (int e = 0; e < 2 * ELEMENTS; e += 2) {
        const real a = __ldg(parts + 2 + e), b = __ldg(parts + 3 + e);
        const real u = __ldg(f + e), v = __ldg(f + e + 1);
        x = fused(u, a, fused(-v, b, x));
        y = fused(u, b, fused(v, a, y));
    }
    return fused(x, x, y * y);
}
#endif

#if FACTORS == TRICUBIC
// F between reflections, over floor - 1 ... floor + 2; the nearest one where that leaves the table.
DEVICE real tricubic(const Parameters &p, const Offset *at) {
    unsigned corner[3];
    real weights[3][4];
    bool inside = true;
    EACH_AXIS {
        const bool below = at[v].delta < 0;
        const real t = below ? at[v].delta + 1 : at[v].delta, m = t - 1, q = t - 2, o = t + 1;
        weights[v][0] = t * m * q * (real)(-1.0 / 6.0);
        weights[v][1] = o * m * q * (real)0.5;
        weights[v][2] = o * t * q * (real)-0.5;
        weights[v][3] = o * t * m * (real)(1.0 / 6.0);
        corner[v] = element(p, at, v) - (below ? 2u : 1u);
        // The border is not part of the table: elements 1 ... size - 2 are.
        inside = inside && corner[v] >= 1u && corner[v] < 0x80000000u
                 && corner[v] + 5u <= p.size[v];
    }
    if (!inside) return nearest_factor(p, at);
    real sum = 0;
    for (unsigned i = 0; i < 4; ++i) {
        real plane = 0;
#pragma unroll
        for (unsigned j = 0; j < 4; ++j) {
            const real *row = p.factors
                              + ((Address)((corner[0] + i) * p.size[1] + corner[1] + j) * p.size[2]
                                 + corner[2]);
            const real line = fused(
                weights[2][0], __ldg(row),
                fused(weights[2][1], __ldg(row + 1),
                      fused(weights[2][2], __ldg(row + 2), weights[2][3] * __ldg(row + 3))));
            plane = fused(weights[1][j], line, plane);
        }
        const real w = i == 0 ? weights[0][0] : i == 1 ? weights[0][1]
                     : i == 2 ? weights[0][2] : weights[0][3];
        sum = fused(w, plane, sum);
    }
    return sum;
}
#endif

// F squared, over p.amplitude.
DEVICE real factor_squared(const Parameters &p, const Offset *at, Index source) {
#if FACTORS == UNIFORM
    return 1;
#elif FACTORS == DISPERSIVE
    return dispersive(p, at, source);
#elif FACTORS == NEAREST
    return nearest_factor(p, at);
#else
    const real F = tricubic(p, at);
    return F * F;
#endif
}
