// A band of rendered pixels as it is stored, in float32, and the statistics of what is stored.
//
// One warp a row.  The order of every sum is fixed by the number of columns, so equal pixels have
// equal statistics.  pixel_statistics.py describes a row and reduces pixels in the same way.

typedef long long Index;

enum { WARPS = THREADS / 32, LANES = 32 };

struct Row {
    double total, total_sqr, spread, maximum;
    Index column;
};

struct Parameters {
    const double *image;  // [rows, cols]
    float *stored;        // [rows, cols]
    Row *reduced;         // [rows]
    Index rows, cols;
    Index first, stop;  // columns inside the region of interest
};

#define CHECK_OFFSET(field, bytes) \
    static_assert(OFFSET_OF(Parameters, field) == bytes, "layout of " #field);
PARAMETERS_LAYOUT(CHECK_OFFSET)
static_assert(sizeof(Parameters) == PARAMETERS_BYTES, "size of Parameters");
static_assert(sizeof(Row) == ROW_BYTES, "size of Row");

#define DEVICE __device__ __forceinline__

// Numbers too small for a normal float32 are kept, whatever the compiler was told of such.
#ifndef SHIM
DEVICE float to_single(double x) {
    float y;
    asm("cvt.rn.f32.f64 %0, %1;" : "=f"(y) : "d"(x));
    return y;
}
DEVICE double to_double(float x) {
    double y;
    asm("cvt.f64.f32 %0, %1;" : "=d"(y) : "f"(x));
    return y;
}
#endif

DEVICE double added_up(const double *parts) {
    double sum = parts[0];
    for (int lane = 1; lane < LANES; ++lane) sum += parts[lane];
    return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) finish(const __grid_constant__ Parameters p) {
    __shared__ double parts[WARPS][4][LANES];
    __shared__ Index places[WARPS][LANES];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const Index row = (Index)blockIdx.x * WARPS + warp;
    if (row >= p.rows) return;  // the whole warp
    double(*const part)[LANES] = parts[warp];
    Index *const place = places[warp];
    const double *const image = p.image + row * p.cols;
    float *const stored = p.stored + row * p.cols;

    double total = 0.0, total_sqr = 0.0, maximum = 0.0;
    Index column = 0;
    for (Index col = lane; col < p.cols; col += LANES) {
        const float kept = to_single(image[col]);
        stored[col] = kept;
        if (col < p.first || col >= p.stop) continue;
        const double x = to_double(kept);
        total += x;
        total_sqr += x * x;
        if (x > maximum) {
            maximum = x;
            column = col;
        }
    }
    part[0][lane] = total;
    part[1][lane] = total_sqr;
    part[2][lane] = maximum;
    place[lane] = column;
    __syncwarp();
    const double sum = added_up(part[0]);
    const double mean = p.stop > p.first ? sum / (double)(p.stop - p.first) : 0.0;
    double spread = 0.0;
    for (Index col = lane; col < p.cols; col += LANES) {
        if (col < p.first || col >= p.stop) continue;
        const double off = to_double(stored[col]) - mean;
        spread += off * off;
    }
    part[3][lane] = spread;
    __syncwarp();
    if (lane != 0) return;
    for (int other = 1; other < LANES; ++other)
        if (part[2][other] > maximum || (part[2][other] == maximum && place[other] < column)) {
            maximum = part[2][other];
            column = place[other];
        }
    p.reduced[row] = {sum, added_up(part[1]), added_up(part[3]), maximum,
                      maximum > 0.0 ? column : 0};
}
