/* The kernels of the fast interpreter for every level of processor, and the choice among them.
 *
 * Plain C behind Python's ctypes: no Python header, no interpreter lock. Every level gives the same bits; contraction of
 * a * b + c is off (-ffp-contract=off), a fused product and addition is always written out.
 */
#include "native.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))

typedef float real32_t;

static inline int bytes_of(int type) { return type == I32 ? 4 : type == I16 || type == U16 ? 2 : 1; }

INLINE void store_lanes(uint8_t *out, int type, const int32_t *lanes, int count) {
    for (int i = 0; i < count; i++) {
        int16_t half = (int16_t)lanes[i];
        if (type == I8 || type == U8) out[i] = (uint8_t)lanes[i];
        else if (type == I32) memcpy(out + 4 * i, lanes + i, 4);
        else memcpy(out + 2 * i, &half, 2);
    }
}

/* The steps of few elements, in integers: SOFTMAX and LOOKUP. */
static int scalar(const Step *s, const Batch *b, int64_t image) {
    const float *x = (const float *)b->scratch;
    uint8_t *out = b->memory + image * b->pitch + s->out_base;
    for (int64_t v = 0; v < s->vectors; v++, x += s->columns, out += s->out_step) {
        float largest = x[0];
        int64_t sum = 0;
        for (int32_t c = 0; c < s->columns; c++) largest = x[c] > largest ? x[c] : largest;
        for (int32_t c = 0; s->kind == SOFTMAX && c < s->columns; c++) {
            int64_t below = (int64_t)(largest - x[c]);
            sum += s->table[below < s->count ? below : s->count - 1];
        }
        for (int32_t c = 0; c < s->columns; c++) {
            int32_t result;
            if (s->kind == SOFTMAX) {
                int64_t below = (int64_t)(largest - x[c]);
                int64_t numerator = s->table[below < s->count ? below : s->count - 1] * s->numerator;
                int64_t quotient = numerator / sum, rest = numerator - quotient * sum;
                quotient += rest > sum - rest || (rest == sum - rest && (quotient & 1));
                quotient += s->zero;
                result = (int32_t)(quotient < s->low ? s->low : quotient > s->high ? s->high : quotient);
            } else {
                int64_t entry = (int64_t)x[c] - s->zero;
                if (entry < 0 || entry >= s->count) return 1;
                result = s->table[entry];
            }
            store_lanes(out + c * bytes_of(s->out_type), s->out_type, &result, 1);
        }
    }
    return 0;
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
#include "kernels.h"
#undef DOT
#endif

typedef int (*Perform)(const Step *, const Batch *);

/* The levels from the plainest on, and how many of them this processor has. */
static const Perform LEVELS[] = {
    perform_plain,
#if defined(__x86_64__)
    perform_avx2,
    perform_avx512,
    perform_vnni,
#endif
};

EXPORT int cimc_levels(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 2;
    return __builtin_cpu_supports("avx512vnni") ? 4 : 3;
#else
    return 1;
#endif
}

EXPORT int cimc_sizes(int which) { return (int)(which == 0 ? sizeof(Step) : which == 1 ? sizeof(Part) : sizeof(Batch)); }

/* Perform steps one after the other; return how many of them went well. */
EXPORT int cimc_run(const Step *const *steps, int count, const Batch *batch, int level) {
    for (int i = 0; i < count; i++)
        if (LEVELS[level](steps[i], batch)) return i;
    return count;
}
