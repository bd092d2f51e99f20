// Where a Miller index lies: the nearest reflection, and how far away it is.

// Added to a number, it leaves a whole number in the low bits.
#define ROUNDER 6755399441055744.0

struct Offset {
    real delta;       // the distance from the nearest reflection
    unsigned number;  // of that one
#if MIXED
    int fraction;  // delta in units of 2^-32
#if SHAPE == ROUND
    double exact;  // delta
#endif
#endif
};

#if ANCHORED
// No float64 in a step, for GPUs that have few units for it.  An index is that of an anchor, plus
// a product of whole numbers (three of them, summed) that is exact: both in units of
// 1 / index_scale, with 32 + index_shift bits of fraction.  anchors.py chooses the units.
struct Anchor {
    Index fraction;  // the distance from the nearest reflection
    unsigned number;
};
DEVICE Anchor anchor_of(const Parameters &p, double index) {
    const double sum = index + ROUNDER, delta = index - (sum - ROUNDER);
    return {__double2ll_rn(delta * p.index_scale) + p.index_half,
            in_register((unsigned)__double2loint(sum))};
}
// `fraction` is the anchor's and what was added to it.
DEVICE Offset locate(const Parameters &p, Index fraction, unsigned number) {
    const Index index = fraction >> p.index_shift;
    const int nearest = (int)index;
    const unsigned above = (unsigned)(index >> 32) + ((unsigned)nearest >> 31);
    return {(float)nearest * 0x1p-32f, number + above, nearest};
}
#elif MIXED
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
