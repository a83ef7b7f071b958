/* The kernels of the fast interpreter for every level of processor, and the choice among them.
 *
 * Plain C behind Python's ctypes: no Python header, no interpreter lock. Every level gives the same bits; contraction of
 * a * b + c is off (-ffp-contract=off), a fused product and addition is always written out.
 */
#include "native.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline))
#define EXPORT __attribute__((visibility("default")))

typedef float real32_t;

/* Of floats; and of the integer Gaussian, as gaussian.py has them. */
enum { FLOAT_DIGITS = 23, FLOAT_BIAS = 127, CELL_BITS = 5, INTERPOLATION_BITS = 25 };

static inline int bytes_of(int type) { return type == I32 || type == REAL ? 4 : type == I16 || type == U16 ? 2 : 1; }

INLINE void store_lanes(uint8_t *out, int type, const int32_t *lanes, int count) {
    for (int i = 0; i < count; i++) {
        int16_t half = (int16_t)lanes[i];
        if (type == I8 || type == U8) out[i] = (uint8_t)lanes[i];
        else if (type == I32) memcpy(out + 4 * i, lanes + i, 4);
        else memcpy(out + 2 * i, &half, 2);
    }
}

INLINE int32_t load_lane(const uint8_t *in, int type, int i) {
    int16_t half;
    if (type == I8) return (int8_t)in[i];
    if (type == U8) return in[i];
    memcpy(&half, in + 2 * i, 2);
    return type == I16 ? half : (uint16_t)half;
}

/* Store the lowest `count` bytes, fewer than 8. */
INLINE void store_bytes(uint8_t *out, uint64_t bytes, int count) {
    for (int size = 4; size; bytes = count & size ? bytes >> 8 * size : bytes, size /= 2)
        if (count & size) memcpy(out, &bytes, (size_t)size), out += size;
}

/* Philox4x64-10 as in philox.py. */
enum { ROUNDS = 10, SHARED_ROUNDS = 2, MOST_BLOCKS = 5, MOST_WORDS = MOST_BLOCKS * WORDS };
static const uint64_t MULTIPLIERS[2] = {0xD2E7470EE14C6C93u, 0xCA5A826395121157u};
typedef struct { uint64_t a, b, c, d; } State;

INLINE State turned(State x, uint64_t key, uint64_t other) {
    const unsigned __int128 first = (unsigned __int128)MULTIPLIERS[0] * x.a;
    const unsigned __int128 second = (unsigned __int128)MULTIPLIERS[1] * x.c;
    return (State){(uint64_t)(second >> 64) ^ x.b ^ key, (uint64_t)second, (uint64_t)(first >> 64) ^ x.d ^ other,
                   (uint64_t)first};
}

/* What the draws of a tile's columns have in common. After two rounds a state is its column's share XOR its vector's:
 * what is multiplied until then, b and c of the one and a and d of the other have no part in. */
typedef struct {
    uint64_t keys[ROUNDS][2];
    State columns[MOST_BLOCKS]; /* of each block of Philox */
    int blocks, start;          /* how many, and which of the first one's words is the first column's */
} Draws;

/* Begin the draws for columns from physical column `start` on. */
static Draws draws_of(const Noise *noise, int64_t start, int64_t columns) {
    Draws draws = {.start = (int)(start % WORDS)};
    for (uint64_t i = 0; i < ROUNDS; i++) {
        draws.keys[i][0] = noise->seed + i * 0x9E3779B97F4A7C15u;
        draws.keys[i][1] = i * 0xBB67AE8584CAA73Bu;
    }
    for (int64_t block = start / WORDS; block * WORDS < start + columns; block++) {
        const State first = turned((State){.a = (uint64_t)block, .d = noise->purpose}, 0, draws.keys[0][1]);
        draws.columns[draws.blocks++] = turned(first, draws.keys[1][0], draws.keys[1][1]);
    }
    return draws;
}

/* Draw the words of a vector's columns, from the first word of the first block on. */
static void drawn(const Draws *draws, uint64_t sample, uint64_t vector, uint32_t *words) {
    const State first = turned((State){.b = vector, .c = sample}, draws->keys[0][0], 0), own = turned(first, 0, 0);
    for (int n = 0; n < draws->blocks; n++) {
        const State *column = draws->columns + n;
        State x = {own.a ^ column->a, own.b ^ column->b, own.c ^ column->c, own.d ^ column->d};
        for (int i = SHARED_ROUNDS; i < ROUNDS; i++) x = turned(x, draws->keys[i][0], draws->keys[i][1]);
        const uint64_t result[4] = {x.a, x.b, x.c, x.d};
        for (int i = 0; i < WORDS; i++) words[n * WORDS + i] = (uint32_t)(result[i / 2] >> (i % 2 * 32));
    }
}

/* How far something is that moves on in each turn of the loops around. */
static inline int64_t way(const int64_t *moves, const Batch *b) {
    int64_t total = 0;
    for (int depth = 0; depth < DEPTH; depth++) total += moves[depth] * b->turns[depth];
    return total;
}

/* Sums of a part that tile registers have made: of a group of vectors and two blocks of columns, by digit, the high first. */
typedef struct {
    int32_t sums[2][2][GROUP][BLOCK];
} Made;

enum { NEAR_BYTES = 1 << 15, FAR_BYTES = 1 << 19 }; /* of packed vectors that should stay in the nearest cache, or in the next */

/* How many vectors are packed at a time, and the bytes of it. Weights are read once for all of them: where those go beyond
 * the next cache, vectors may fill it. */
static inline int64_t packed_vectors(const Step *s) {
    const int is_near = 2 * (int64_t)s->packed * s->columns <= FAR_BYTES;
    const int64_t groups = (is_near ? NEAR_BYTES : FAR_BYTES) / (s->packed * GROUP);
    return GROUP * (groups < 1 ? 1 : groups);
}
static inline int64_t packed_bytes(const Step *s) { return packed_vectors(s) * s->packed; }

/* How many images' rectangles of so many bytes are made together, where the scratch has to hold others as well. */
static int64_t images_of(const Batch *b, int64_t image_bytes, int64_t others) {
    const int64_t images = (b->scratch_bytes - others) / image_bytes;
    return images < 1 ? 1 : images > b->images ? b->images : images;
}

/* Whether floats estimate the results of a product, and leave some in doubt. */
static inline int is_estimated(const Step *s) { return s->certain > 0 && s->certain < 1; }

/* What is told of a product besides its results: nothing, or what a Tally asks for. */
enum Told { NOTHING, SUMS, CLIPS };

/* A SOFTMAX, in integers. */
static void softmax(const Step *s, const Batch *b, int64_t image) {
    const float *x = (const float *)b->scratch;
    uint8_t *out = b->memory + image * b->pitch + s->out_base;
    for (int64_t v = 0; v < s->vectors; v++, x += s->columns, out += s->out_step) {
        float largest = x[0];
        int64_t sum = 0;
        for (int32_t c = 0; c < s->columns; c++) largest = x[c] > largest ? x[c] : largest;
        for (int32_t c = 0; c < s->columns; c++) {
            int64_t below = (int64_t)(largest - x[c]);
            sum += s->table[below < s->count ? below : s->count - 1];
        }
        for (int32_t c = 0; c < s->columns; c++) {
            int64_t below = (int64_t)(largest - x[c]);
            int64_t numerator = s->table[below < s->count ? below : s->count - 1] * s->numerator;
            int64_t quotient = numerator / sum, rest = numerator - quotient * sum;
            quotient += rest > sum - rest || (rest == sum - rest && (quotient & 1));
            quotient += s->zero;
            const int32_t result = (int32_t)(quotient < s->low ? s->low : quotient > s->high ? s->high : quotient);
            store_lanes(out + c * bytes_of(s->out_type), s->out_type, &result, 1);
        }
    }
}

/* A COPY of runs of elements; one alone may overlap. */
static void copy(const Step *s, const Batch *b) {
    const Source *source = s->source;
    const size_t size = (size_t)s->count;
    for (int64_t i = 0; i < b->images; i++) {
        uint8_t *memory = b->memory + i * b->pitch, *out = memory + s->out_base;
        const uint8_t *in = (source->constant ? source->constant : memory) + source->base;
        for (int32_t v = 0; v < s->vectors; v++, in += source->pitch[0], out += s->out_step) memmove(out, in, size);
    }
}

#include "lanes_plain.h"
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "lanes_avx2.h"
#include "kernels.h"

#define LEVEL(name) name##_avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define DOT(sum, x, g) _mm512_add_epi32(sum, _mm512_madd_epi16(x, g))
#include "lanes_avx512.h"
#include "kernels.h"
#undef DOT

#define LEVEL(name) name##_vnni
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")))
#define DOT _mm512_dpwssd_epi32
#include "lanes_avx512.h"
#undef BYTES
#define BYTES 1
#include "kernels.h"
#undef DOT

#if defined(__linux__) && (__GNUC__ >= 11 || __clang_major__ >= 12)
#include <sys/syscall.h>
#include <unistd.h>

#define HAS_TILES 1
#define LEVEL(name) name##_amx
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,amx-tile,amx-int8")))
#define DOT _mm512_dpwssd_epi32
#include "lanes_avx512.h"
#undef BYTES
#undef TILED
#define BYTES 1
#define TILED 1
#include "kernels.h"
#undef DOT
#endif
#endif

#include "checksum.h"

typedef struct {
    int (*perform)(const Step *, const Batch *);
    void (*totals)(const Sums *, int64_t *);
    void (*moments)(const Sums *, const Moments *);
} Level;

/* The levels from the plainest on, and how many of them this processor has. */
static const Level LEVELS[] = {
    {perform_plain, totals_plain, moments_plain},
#if defined(__x86_64__)
    {perform_avx2, totals_avx2, moments_avx2},
    {perform_avx512, totals_avx512, moments_avx512},
    {perform_vnni, totals_vnni, moments_vnni},
#endif
#if defined(HAS_TILES)
    {perform_amx, totals_amx, moments_amx},
#endif
};

/* Whether tile registers are here and Linux lets this process use them. */
static int has_tiles(void) {
#if defined(HAS_TILES)
    enum { REQUEST = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM and XFEATURE_XTILEDATA of asm/prctl.h */
    return __builtin_cpu_supports("amx-int8") && !syscall(SYS_arch_prctl, REQUEST, TILE_DATA);
#else
    return 0;
#endif
}

EXPORT int cimc_levels(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 2;
    return !__builtin_cpu_supports("avx512vnni") ? 3 : has_tiles() ? 5 : 4;
#else
    return 1;
#endif
}

/* Which sources this was built of, as digest.py has them; 0: nobody has said. */
#ifndef CIMC_SOURCES
#define CIMC_SOURCES 0
#endif
EXPORT uint64_t cimc_sources(void) { return CIMC_SOURCES; }

/* Bytes of the structures that Python fills in. */
EXPORT int cimc_sizes(int which) {
    const size_t sizes[] = {sizeof(Step),      sizeof(Part),  sizeof(Batch), sizeof(Noise),
                            sizeof(Converter), sizeof(Tally), sizeof(Sums),  sizeof(Moments), sizeof(Quads)};
    return (int)sizes[which];
}

/* Perform a step where it lies in this turn of the loops around. */
static int perform(const Step *step, const Batch *batch, int level) {
    if (!step->moving) return LEVELS[level].perform(step, batch);
    Step moved = *step;
    for (int k = 0; k < step->sources; k++) moved.source[k].base += way(step->source[k].moves, batch);
    moved.out_base += way(step->out_moves, batch);
    return LEVELS[level].perform(&moved, batch);
}

/* Perform steps one after the other; return how many of them went well. */
EXPORT int cimc_run(const Step *const *steps, int count, const Batch *batch, int level) {
    for (int i = 0; i < count; i++)
        if (perform(steps[i], batch, level)) return i;
    return count;
}

/* Perform the turns of the loop at a depth up to turn `last`; return the turn that met a fault, or `last`. */
EXPORT int64_t cimc_turns(const Step *const *steps, int count, const Batch *batch, int level, int depth, int64_t last,
                          int *done) {
    for (; batch->turns[depth] < last; batch->turns[depth]++)
        if ((*done = cimc_run(steps, count, batch, level)) < count) break;
    return batch->turns[depth];
}

EXPORT void cimc_totals(const Sums *sums, int64_t *totals, int level) { LEVELS[level].totals(sums, totals); }

EXPORT void cimc_moments(const Sums *sums, const Moments *moments, int level) { LEVELS[level].moments(sums, moments); }
