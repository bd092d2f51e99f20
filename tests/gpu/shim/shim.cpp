// Runs a grid of the kernel KERNEL, whose text stands in front of this file, block by block.

namespace shim {

bool votes[WARP];
long barriers[WARP];

static ucontext_t home, fibers[WARP];
static bool finished[WARP];
static int current, first_thread;
static const Parameters *parameters;

static void run(int lane) {
    ucontext_t *from = &fibers[current];
    current = lane;
    threadIdx.x = (unsigned)(first_thread + lane);
    swapcontext(from, &fibers[lane]);
    threadIdx.x = (unsigned)(first_thread + current);
}

void next_lane() {
    const int mine = current;
    int next = (mine + 1) % WARP;
    while (finished[next] && next != mine) next = (next + 1) % WARP;
    if (next != mine) run(next);
}

static void lane_main() {
    KERNEL(*parameters);
    finished[current] = true;
    for (int lane = 0; lane < WARP; ++lane) {
        const int next = (current + 1 + lane) % WARP;
        if (!finished[next]) run(next);
    }
    setcontext(&home);
}

}  // namespace shim

extern "C" std::size_t parameters_bytes() { return sizeof(Parameters); }

// Returns 0, or 1 if the lanes of a warp did not meet at the same barriers.
extern "C" int run_grid(std::int64_t blocks, int threads, const Parameters *p) {
    using namespace shim;
#if defined(__SSE__) && MIXED
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8000);  // float32 results below the normal numbers are 0, as on the device
#endif
    const std::size_t stack = 256 * 1024;
    static std::vector<char> stacks(WARP * stack);
    parameters = p;
    int failed = 0;
    for (std::int64_t block = 0; block < blocks; ++block) {
        blockIdx.x = (unsigned)block;
        for (first_thread = 0; first_thread < threads; first_thread += WARP) {
            for (int lane = 0; lane < WARP; ++lane) {
                finished[lane] = false;
                barriers[lane] = 0;
                getcontext(&fibers[lane]);
                fibers[lane].uc_stack.ss_sp = stacks.data() + lane * stack;
                fibers[lane].uc_stack.ss_size = stack;
                fibers[lane].uc_link = nullptr;
                makecontext(&fibers[lane], lane_main, 0);
            }
            current = 0;
            threadIdx.x = (unsigned)first_thread;
            swapcontext(&home, &fibers[0]);
            for (long count : barriers) failed |= count != barriers[0];
        }
    }
#if defined(__SSE__) && MIXED
    _mm_setcsr(mode);
#endif
    return failed;
}
