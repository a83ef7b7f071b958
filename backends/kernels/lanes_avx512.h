/* Sixteen lanes of AVX-512. The including file says whether VNNI is there: LEVEL, TARGET and DOT. */
#define LANES 16
#define VECTORS 2
#define ROWS 8
#define DRAWN 8
#define BYTES 0
#define TILED 0
#define FLOAT_IS_EXACT 1
#define ROOT_ERROR 0x1p-14 /* of inverse_root, relative */

typedef int32_t LEVEL(Ints) __attribute__((vector_size(64)));
typedef uint32_t LEVEL(Words) __attribute__((vector_size(64)));
typedef float LEVEL(Floats) __attribute__((vector_size(64)));
typedef double LEVEL(Doubles) __attribute__((vector_size(64)));
#define Ints LEVEL(Ints)
#define Words LEVEL(Words)
#define Floats LEVEL(Floats)
#define Doubles LEVEL(Doubles)

INLINE TARGET Ints LEVEL(pairs)(Ints sum, Ints a, Ints b) { return (Ints)DOT((__m512i)sum, (__m512i)a, (__m512i)b); }
INLINE TARGET Ints LEVEL(dot)(Ints sum, int32_t pair, Ints weights) {
    return LEVEL(pairs)(sum, (Ints)_mm512_set1_epi32(pair), weights);
}
INLINE TARGET Ints LEVEL(looked_up)(const uint32_t *table, Ints index) {
    return (Ints)_mm512_i32gather_epi32((__m512i)index, table, 4);
}
/* Philox in eight lanes: a product of 64 bits is made of four of 32. */
typedef struct { __m512i a, b, c, d; } LEVEL(States);
#define States LEVEL(States)

INLINE TARGET void LEVEL(multiplied_wide)(__m512i x, uint64_t by, __m512i *high, __m512i *low) {
    const __m512i by_low = _mm512_set1_epi64((int64_t)(by & UINT32_MAX)), by_high = _mm512_set1_epi64((int64_t)(by >> 32));
    const __m512i x_high = _mm512_shuffle_epi32(x, _MM_PERM_DDBB), least = _mm512_mul_epu32(x, by_low);
    const __m512i first = _mm512_add_epi64(_mm512_mul_epu32(x_high, by_low), _mm512_srli_epi64(least, 32));
    const __m512i rest = _mm512_and_si512(first, _mm512_set1_epi64(UINT32_MAX));
    const __m512i second = _mm512_add_epi64(_mm512_mul_epu32(x, by_high), rest);
    const __m512i most = _mm512_add_epi64(_mm512_mul_epu32(x_high, by_high), _mm512_srli_epi64(first, 32));
    *high = _mm512_add_epi64(most, _mm512_srli_epi64(second, 32));
    *low = _mm512_mask_shuffle_epi32(least, 0xAAAA, second, _MM_PERM_CCAA);
}
INLINE TARGET States LEVEL(turned)(States x, uint64_t key, uint64_t other) {
    States next;
    __m512i first, second;
    LEVEL(multiplied_wide)(x.a, MULTIPLIERS[0], &first, &next.d);
    LEVEL(multiplied_wide)(x.c, MULTIPLIERS[1], &second, &next.b);
    next.a = _mm512_ternarylogic_epi64(second, x.b, _mm512_set1_epi64((int64_t)key), 0x96);
    next.c = _mm512_ternarylogic_epi64(first, x.d, _mm512_set1_epi64((int64_t)other), 0x96);
    return next;
}
/* Lay out the words of eight vectors, those of each one behind the other. */
INLINE TARGET void LEVEL(store_words)(States x, uint32_t words[DRAWN][MOST_WORDS]) {
    const __m512i even = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), odd = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    const __m512i first[2] = {_mm512_unpacklo_epi64(x.a, x.b), _mm512_unpackhi_epi64(x.a, x.b)};
    const __m512i second[2] = {_mm512_unpacklo_epi64(x.c, x.d), _mm512_unpackhi_epi64(x.c, x.d)};
    for (int n = 0; n < 2; n++) {
        const __m512i low = _mm512_permutex2var_epi64(first[n], even, second[n]);
        const __m512i high = _mm512_permutex2var_epi64(first[n], odd, second[n]);
        _mm256_storeu_si256((__m256i *)words[n], _mm512_castsi512_si256(low));
        _mm256_storeu_si256((__m256i *)words[n + 4], _mm512_extracti64x4_epi64(low, 1));
        _mm256_storeu_si256((__m256i *)words[n + 2], _mm512_castsi512_si256(high));
        _mm256_storeu_si256((__m256i *)words[n + 6], _mm512_extracti64x4_epi64(high, 1));
    }
}
/* Draw what is left of the words of `count` blocks: two at a time hide what a multiplication waits for. */
INLINE TARGET void LEVEL(draw_blocks)(const Draws *draws, States own, int first, const int count,
                                      uint32_t words[DRAWN][MOST_WORDS]) {
    States x[2];
    for (int n = 0; n < count; n++) {
        const State *column = draws->columns + first + n;
        x[n] = (States){_mm512_xor_si512(own.a, _mm512_set1_epi64((int64_t)column->a)),
                        _mm512_xor_si512(own.b, _mm512_set1_epi64((int64_t)column->b)),
                        _mm512_xor_si512(own.c, _mm512_set1_epi64((int64_t)column->c)),
                        _mm512_xor_si512(own.d, _mm512_set1_epi64((int64_t)column->d))};
    }
    for (int i = SHARED_ROUNDS; i < ROUNDS; i++)
        for (int n = 0; n < count; n++) x[n] = LEVEL(turned)(x[n], draws->keys[i][0], draws->keys[i][1]);
    for (int n = 0; n < count; n++)
        LEVEL(store_words)(x[n], (uint32_t(*)[MOST_WORDS])(words[0] + (first + n) * WORDS));
}
/* Draw the words of eight vectors, a lane each. */
INLINE TARGET void LEVEL(drawn)(const Draws *draws, uint64_t sample, uint64_t first, const int64_t image[DRAWN],
                                const int64_t vector[DRAWN], uint32_t words[DRAWN][MOST_WORDS]) {
    const __m512i none = _mm512_setzero_si512();
    const __m512i samples = _mm512_add_epi64(_mm512_loadu_si512(image), _mm512_set1_epi64((int64_t)sample));
    const __m512i vectors = _mm512_add_epi64(_mm512_loadu_si512(vector), _mm512_set1_epi64((int64_t)first));
    const States own = LEVEL(turned)(LEVEL(turned)((States){none, vectors, samples, none}, draws->keys[0][0], 0), 0, 0);
    int n = 0;
    for (; n + 2 <= draws->blocks; n += 2) LEVEL(draw_blocks)(draws, own, n, 2, words);
    if (n < draws->blocks) LEVEL(draw_blocks)(draws, own, n, 1, words);
}
#undef States

INLINE TARGET Floats LEVEL(fused)(Floats a, Floats b, Floats c) { return (Floats)_mm512_fmadd_ps(a, b, c); }
INLINE TARGET Floats LEVEL(least)(Floats a, Floats b) { return (Floats)_mm512_min_ps(a, b); }
INLINE TARGET Floats LEVEL(most)(Floats a, Floats b) { return (Floats)_mm512_max_ps(a, b); }
INLINE TARGET Doubles LEVEL(clip)(Doubles a, double low, double high) {
    return (Doubles)_mm512_min_pd(_mm512_max_pd(a, _mm512_set1_pd(low)), _mm512_set1_pd(high));
}
INLINE TARGET Doubles LEVEL(low_doubles)(Floats a) { return (Doubles)_mm512_cvtps_pd(_mm512_castps512_ps256(a)); }
INLINE TARGET Doubles LEVEL(high_doubles)(Floats a) { return (Doubles)_mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)); }
INLINE TARGET Doubles LEVEL(low_wide)(Ints a) {
    return (Doubles)_mm512_cvtepi32_pd(_mm512_castsi512_si256((__m512i)a));
}
INLINE TARGET Doubles LEVEL(high_wide)(Ints a) {
    return (Doubles)_mm512_cvtepi32_pd(_mm512_extracti32x8_epi32((__m512i)a, 1));
}
INLINE TARGET Doubles LEVEL(root)(Doubles a) { return (Doubles)_mm512_sqrt_pd(a); }
/* An estimate of 1 / sqrt(a), of a number from 1 on; 0 for 0. */
INLINE TARGET Floats LEVEL(inverse_root)(Floats a) {
    return (Floats)_mm512_maskz_rsqrt14_ps(_mm512_cmp_ps_mask((__m512)a, _mm512_setzero_ps(), _CMP_GT_OQ), (__m512)a);
}
/* The nearest whole numbers, ties to even. */
INLINE TARGET Floats LEVEL(nearest)(Floats a) { return (Floats)_mm512_roundscale_ps((__m512)a, _MM_FROUND_TO_NEAREST_INT); }
INLINE TARGET float LEVEL(floats_sum)(Floats a) { return _mm512_reduce_add_ps((__m512)a); }
INLINE TARGET int LEVEL(any)(Ints lanes) { return _mm512_movepi32_mask((__m512i)lanes); }
INLINE TARGET int LEVEL(any_reaches)(Floats a, Floats b) {
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GE_OQ);
}
/* Rounded to the nearest integers, ties to even, as conversions do. */
INLINE TARGET Ints LEVEL(rounded)(Doubles low, Doubles high) {
    return (Ints)_mm512_inserti32x8(_mm512_castsi256_si512(_mm512_cvtpd_epi32(low)), _mm512_cvtpd_epi32(high), 1);
}
INLINE TARGET void LEVEL(store)(uint8_t *out, int type, Ints values, int count) {
    __mmask16 lanes = (__mmask16)((1u << count) - 1);
    if (type == I8 || type == U8)
        _mm512_mask_cvtepi32_storeu_epi8(out, lanes, (__m512i)values);
    else if (type == I32)
        _mm512_mask_storeu_epi32(out, lanes, (__m512i)values);
    else
        _mm512_mask_cvtepi32_storeu_epi16(out, lanes, (__m512i)values);
}
INLINE TARGET Ints LEVEL(load)(const uint8_t *in, int type, int count) {
    const __mmask16 lanes = (__mmask16)((1u << count) - 1);
    if (type == I8) return (Ints)_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, in));
    if (type == U8) return (Ints)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, in));
    const __m256i halves = _mm256_maskz_loadu_epi16(lanes, in);
    return (Ints)(type == I16 ? _mm512_cvtepi16_epi32(halves) : _mm512_cvtepu16_epi32(halves));
}
