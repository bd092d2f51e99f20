// What a card can do at most: fused multiply-adds a second, and bytes a second through its memory.

typedef long long Index;

struct Parameters {
    REAL *to;
    const REAL *from;
    Index count, loops;
};

extern "C" __global__ void arithmetic(const __grid_constant__ Parameters p) {
    const Index i = (Index)blockIdx.x * THREADS + threadIdx.x;
    const REAL a = p.from[0], b = p.from[1];
    REAL x[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = (REAL)(i + j);
    for (Index loop = 0; loop < p.loops; ++loop)
#pragma unroll
        for (int j = 0; j < 8; ++j) x[j] = x[j] * a + b;
    REAL sum = 0;
#pragma unroll
    for (int j = 0; j < 8; ++j) sum += x[j];
    if (sum == (REAL)12345) p.to[0] = sum;  // never, but the compiler does not know
}

extern "C" __global__ void memory(const __grid_constant__ Parameters p) {
    const Index stride = p.loops;
    for (Index i = (Index)blockIdx.x * THREADS + threadIdx.x; i < p.count; i += stride)
        p.to[i] = p.from[i] + (REAL)1;
}
