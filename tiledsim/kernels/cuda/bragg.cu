// Photons in the pixels of a tile: the formulas of docs/physics.md for one panel of one shot.
//
// One warp renders a patch of 8 x 8 or 16 x 8 pixels (fast x slow), each thread 2 or 4 of them.
// Patches lie on a grid of the panel, not of the tile, so a pixel's value does not depend on the
// tile it is rendered in.  Orientations (or the wavelengths of one direction) go through shared
// memory in batches of 32, one prepared by each lane.  Warps do not wait for one another.
//
// MIXED: Miller indices are projected in float64, into numbers of 32 bits of fraction; what follows
// from their fractions, and sums of 32 steps, are float32.
//
// ANCHORED: MIXED without float64 in a step.  With SPECTRUM the anchor is that of a pixel, at the
// wavelength in the middle of its direction's; else it is a pixel in the middle of the patch, for
// each orientation.
//
// A launch adds some of a pixel's steps, in their order, to those of the launches before it, so that
// none takes longer than a display's watchdog allows.  A ray is one direction, to one subpixel, at
// one layer of the sensor.
//
// SPECTRUM: sources that share a direction are the wavelengths of one ray; a.(d - i) is projected
// once and multiplied by each 1/wavelength.

enum { WARPS = THREADS / 32, BATCH = 32, ACROSS = PIXELS / 2 };
enum { PATCH_FAST = 8 * ACROSS, PATCH_SLOW = 8 };

#define EACH_PIXEL _Pragma("unroll") for (int k = 0; k < PIXELS; ++k)

// What the lanes of a warp share of one orientation, or, with SPECTRUM, of one wavelength.
struct alignas(16) Entry {
#if ANCHORED && SPECTRUM
    int change;  // of 1 / wavelength, from the anchor's
    float weight;
#elif ANCHORED
    Index fraction[3];
    int axes[9];
    unsigned number[3];
#elif SPECTRUM
    double inverse_wavelength, weight;
#else
    double axes[9];
#endif
};

// What a thread holds of one pixel.
struct Place {
#if ANCHORED && SPECTRUM
    Index fraction[3];
    int projected[3];  // a.(d - i), b.(d - i), c.(d - i)
    unsigned number[3];
#elif ANCHORED
    int step[3];  // of the scattering vector, from the anchor's
#elif SPECTRUM
    double projected[3];
#else
    double q[3];
#endif
};

struct Step {
    real factor_squared, lattice;
};

// One evaluation.
DEVICE Step evaluate(const Parameters &p, const Entry &entry, const Place &place, Index source) {
    Offset at[3];
    EACH_AXIS {
#if ANCHORED && SPECTRUM
        const Index sum = multiply_add(place.projected[v], entry.change, place.fraction[v]);
        at[v] = locate(p, sum, place.number[v]);
#elif ANCHORED
        const int *const a = entry.axes + 3 * v, *const s = place.step;
        Index sum = entry.fraction[v];
        for (int i = 0; i < 3; ++i) sum = multiply_add(a[i], s[i], sum);
        at[v] = locate(p, sum, entry.number[v]);
#elif SPECTRUM
        at[v] = locate(fma(place.projected[v], entry.inverse_wavelength, INDEX_ORIGIN));
#else
        const double *const a = entry.axes + 3 * v, *const q = place.q;
        at[v] = locate(fma(a[0], q[0], fma(a[1], q[1], fma(a[2], q[2], INDEX_ORIGIN))));
#endif
    }
    return {factor_squared(p, at, source), lattice(p, at)};
}

DEVICE void load_axes(const Parameters &p, Index m, double *axes) {
#pragma unroll
    for (int i = 0; i < 9; ++i) axes[i] = __ldg(p.orientations + 9 * m + i);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
render(const __grid_constant__ Parameters p) {
    __shared__ Entry shared[WARPS][BATCH];
#if ANCHORED && !SPECTRUM
    __shared__ double anchors[WARPS][3];
    double *const anchor = anchors[threadIdx.x >> 5];
#endif
    const int lane = threadIdx.x & 31;
    Entry *const entries = shared[threadIdx.x >> 5];
    const Index patch = (Index)blockIdx.x * WARPS + (threadIdx.x >> 5);
    if (patch >= p.patches) return;  // the whole warp
    const Index patch_slow = p.patch_slow + patch / p.patches_across * PATCH_SLOW;
    const Index patch_fast = p.patch_fast + patch % p.patches_across * PATCH_FAST;

#define SLOW(k) (patch_slow + (k) / ACROSS * 4 + (lane >> 3))
#define FAST(k) (patch_fast + (k) % ACROSS * 8 + (lane & 7))
#define PLACE(k) ((SLOW(k) - p.slow_start) * p.cols + FAST(k) - p.fast_start)
    unsigned wanted = 0;
    EACH_PIXEL {
        const Index row = SLOW(k) - p.slow_start, col = FAST(k) - p.fast_start;
        if (row >= 0 && row < p.rows && col >= 0 && col < p.cols) {
            if (p.rendered == nullptr || p.rendered[PLACE(k)]) wanted |= 1u << k;
            else p.image[PLACE(k)] = 0.0;
        }
    }
    if (!__any_sync(0xffffffffu, wanted != 0)) return;

    double total[PIXELS], drop[PIXELS], first_polar[PIXELS];
    const bool begins = p.first_ray == 0 && p.first_orientation == 0;
    EACH_PIXEL {
        total[k] = begins ? p.water_start : wanted >> k & 1u ? p.image[PLACE(k)] : 0.0;
        drop[k] = first_polar[k] = 0.0;
    }
    unsigned seen = 0;  // pixels of which an evaluation was kept
    const int layers = LAYERS ? p.layers : 1;
    const int subpixels = SUBPIXELS ? p.oversample * p.oversample : 1;
    const Index directions = DIRECTIONS ? p.direction_count : 1;
    Index ray = 0;
    for (int layer = 0; layer < layers; ++layer)
        for (int sub = 0; sub < subpixels; ++sub, ray += directions) {
            if (ray + directions <= p.first_ray || ray > p.last_ray) continue;
            Look look[PIXELS];
            double own_base[PIXELS], running_base[PIXELS];
            EACH_PIXEL {
                look[k] = look_at_subpixel(p, SLOW(k), FAST(k), sub, layer);
                own_base[k] = (OMEGA == OWN ? solid_angle(p, look[k]) : 1.0)
                              * (THICK == OWN ? captured(p, look[k], layer) : 1.0);
                running_base[k] = (OMEGA == RUNNING ? solid_angle(p, look[k]) : 1.0)
                                  * (THICK == RUNNING ? captured(p, look[k], layer) : 1.0);
            }
            for (Index direction = 0; direction < directions; ++direction) {
                if (ray + direction < p.first_ray || ray + direction > p.last_ray) continue;
                const Index first_orientation
                    = ray + direction == p.first_ray ? p.first_orientation : 0;
                const Index stop_orientation = ray + direction == p.last_ray
                                                   ? p.stop_orientation : p.orientation_count;
                const Index source = SPECTRUM ? __ldg(p.direction_first + direction) : direction;
                const double reach = SPECTRUM ? 1.0 : __ldg(p.inverse_wavelength + source);
                const double weight = WEIGHTED ? 1.0 : __ldg(p.weight + source);
                double incident[3];
                EACH_AXIS incident[v] = __ldg(p.incident + 3 * direction + v);
                double q[PIXELS][3];  // d - i with SPECTRUM
                double own[PIXELS], running[PIXELS];
                unsigned kept = ~0u;
                EACH_PIXEL {
                    const double *const d = look[k].direction;
                    EACH_AXIS q[k][v] = (d[v] - incident[v]) * reach;
                    if (CUT && !within_resolution(p, q[k])) kept &= ~(1u << k);
                    double polar = 1.0;
                    if (POLAR != FIRST || (CUT && ((~seen & kept) >> k & 1u)))
                        polar = polarized(p, d, direction);
                    if (POLAR == FIRST && CUT && ((~seen & kept) >> k & 1u)) first_polar[k] = polar;
                    own[k] = POLAR == OWN ? own_base[k] * polar : own_base[k];
                    running[k] = POLAR == RUNNING ? running_base[k] * polar : running_base[k];
                    if (WATER && first_orientation == 0)
                        (PRODUCTS ? drop : total)[k] += own[k] * running[k] * p.water_own
                                                        * __ldg(p.direction_weight + direction);
                    own[k] *= kept >> k & 1u ? weight * p.amplitude : 0.0;
                }
                seen |= kept;
                Place place[PIXELS];
#if SPECTRUM
                const Index stop = __ldg(p.direction_first + direction + 1);
#if ANCHORED
                const double middle = __ldg(p.inverse_wavelength + source + (stop - source) / 2);
#endif
                for (Index m = first_orientation; m < stop_orientation; ++m) {
                    double axes[9];
                    load_axes(p, m, axes);
                    EACH_PIXEL EACH_AXIS {
                        const double projected = dot(axes + 3 * v, q[k]);
#if ANCHORED
                        const Anchor anchor = anchor_of(p, projected * middle);
                        place[k].fraction[v] = anchor.fraction;
                        place[k].number[v] = anchor.number;
                        place[k].projected[v] = __double2int_rn(projected * p.axis_scale);
#else
                        place[k].projected[v] = projected;
#endif
                    }
                    for (Index first = source; first < stop; first += BATCH) {
#else
#if ANCHORED
                __syncwarp();  // the anchor before is done with
                if (lane == 0) EACH_AXIS anchor[v] = q[PIXELS - 1][v];
                __syncwarp();
                EACH_PIXEL EACH_AXIS
                    place[k].step[v] = __double2int_rn((q[k][v] - anchor[v]) * p.step_scale);
#else
                EACH_PIXEL EACH_AXIS place[k].q[v] = q[k][v];
#endif
                {
                    const Index stop = stop_orientation;
                    for (Index first = first_orientation; first < stop; first += BATCH) {
#endif
                        const int count = stop - first < BATCH ? (int)(stop - first) : BATCH;
                        __syncwarp();  // the batch before is done with
                        if (lane < count) {
#if ANCHORED && SPECTRUM
                            const double change
                                = __ldg(p.inverse_wavelength + first + lane) - middle;
                            entries[lane] = {__double2int_rn(change * p.step_scale),
                                             (float)__ldg(p.weight + first + lane)};
#elif ANCHORED
                            double axes[9];
                            load_axes(p, first + lane, axes);
                            EACH_AXIS {
                                const Anchor at = anchor_of(p, dot(axes + 3 * v, anchor));
                                entries[lane].fraction[v] = at.fraction;
                                entries[lane].number[v] = at.number;
                                for (int i = 3 * v; i < 3 * v + 3; ++i)
                                    entries[lane].axes[i] = __double2int_rn(axes[i] * p.axis_scale);
                            }
#elif SPECTRUM
                            entries[lane] = {__ldg(p.inverse_wavelength + first + lane),
                                             __ldg(p.weight + first + lane)};
#else
                            load_axes(p, first + lane, entries[lane].axes);
#endif
                        }
                        __syncwarp();
                        real sum[PIXELS] = {};
#pragma unroll 1
                        for (int j = 0; j < count; ++j) {
                            const Entry entry = entries[j];
                            const Index lit = SPECTRUM ? first + j : source;
                            EACH_PIXEL {
                                const Step step = evaluate(p, entry, place[k], lit);
#if PRODUCTS
                                if ((kept >> k & 1u) && !(SKIP_DARK && step.lattice == 0.0))
                                    total[k] = fma(step.factor_squared * step.lattice, own[k],
                                                   total[k]) * running[k];
#elif WEIGHTED
                                sum[k] = fused(step.factor_squared * (real)entry.weight,
                                               step.lattice, sum[k]);
#else
                                sum[k] = fused(step.factor_squared, step.lattice, sum[k]);
#endif
                            }
                        }
                        EACH_PIXEL total[k] = fma(own[k], (double)sum[k], total[k]);
                    }
                }
            }
        }

    const bool ends = p.last_ray + 1 == layers * subpixels * directions
                      && p.stop_orientation == p.orientation_count;
    EACH_PIXEL if (wanted >> k & 1u) {
        if (!ends) {
            p.image[PLACE(k)] = total[k];
            continue;
        }
        double value = p.scale * (total[k] + drop[k]);
        const Look first = look_at_subpixel(p, SLOW(k), FAST(k), 0, 0);
        if (OMEGA == FIRST) value *= solid_angle(p, first);
        if (POLAR == FIRST) value *= CUT ? first_polar[k] : polarized(p, first.direction, 0);
        if (THICK == FIRST)
            value *= captured(p, look_at_subpixel(p, SLOW(k), FAST(k), 0, layers - 1), layers - 1);
        p.image[PLACE(k)] = value;
    }
}
