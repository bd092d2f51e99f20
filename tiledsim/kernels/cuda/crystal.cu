// The crystal: its lattice factor and its structure factors at a place in reciprocal space.

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
    const real far = (real)3 * (sine * y - horner(cospi_powers, z)) * (y * y);
    const real near = horner(sinc3_powers, (real)square * (real)9.8696044010893586188);
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
    const double faint = fmin(w, FAINTEST);
    const double sum = fma(-faint, 1.44269504088896338700, ROUNDER), n = sum - ROUNDER;
    const double part = horner(exp_powers, fma(n, -LN2_LOW, fma(n, -LN2_HIGH, -faint)));
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
