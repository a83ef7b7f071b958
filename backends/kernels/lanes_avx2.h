/* Eight lanes of AVX2 with FMA. */
#define LEVEL(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 8
#define VECTORS 2
#define ROWS 4
#define DRAWN 1
#define BYTES 0
#define TILED 0
#define FLOAT_IS_EXACT 1
#define ROOT_ERROR 0x1.8p-12 /* of inverse_root, relative */

typedef int32_t LEVEL(Ints) __attribute__((vector_size(32)));
typedef uint32_t LEVEL(Words) __attribute__((vector_size(32)));
typedef float LEVEL(Floats) __attribute__((vector_size(32)));
typedef double LEVEL(Doubles) __attribute__((vector_size(32)));
#define Ints LEVEL(Ints)
#define Words LEVEL(Words)
#define Floats LEVEL(Floats)
#define Doubles LEVEL(Doubles)

INLINE TARGET Ints LEVEL(pairs)(Ints sum, Ints a, Ints b) {
    return sum + (Ints)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}
INLINE TARGET Ints LEVEL(dot)(Ints sum, int32_t pair, Ints weights) {
    return LEVEL(pairs)(sum, (Ints)_mm256_set1_epi32(pair), weights);
}
/* One by one: processors of this level are slow to gather. */
INLINE TARGET Ints LEVEL(looked_up)(const uint32_t *table, Ints index) {
    Ints found = {0};
    for (int i = 0; i < LANES; i++) found[i] = (int32_t)table[index[i]];
    return found;
}
/* Draw the words of one vector: the processor multiplies whole words of 64 bits. */
INLINE void LEVEL(drawn)(const Draws *draws, uint64_t sample, uint64_t first, const int64_t image[DRAWN],
                         const int64_t vector[DRAWN], uint32_t words[DRAWN][MOST_WORDS]) {
    drawn(draws, sample + (uint64_t)image[0], first + (uint64_t)vector[0], words[0]);
}
INLINE TARGET Floats LEVEL(fused)(Floats a, Floats b, Floats c) { return (Floats)_mm256_fmadd_ps(a, b, c); }
INLINE TARGET Floats LEVEL(least)(Floats a, Floats b) { return (Floats)_mm256_min_ps(a, b); }
INLINE TARGET Floats LEVEL(most)(Floats a, Floats b) { return (Floats)_mm256_max_ps(a, b); }
INLINE TARGET Doubles LEVEL(clip)(Doubles a, double low, double high) {
    return (Doubles)_mm256_min_pd(_mm256_max_pd(a, _mm256_set1_pd(low)), _mm256_set1_pd(high));
}
INLINE TARGET Doubles LEVEL(low_doubles)(Floats a) { return (Doubles)_mm256_cvtps_pd(_mm256_castps256_ps128(a)); }
INLINE TARGET Doubles LEVEL(high_doubles)(Floats a) { return (Doubles)_mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)); }
INLINE TARGET Doubles LEVEL(low_wide)(Ints a) {
    return (Doubles)_mm256_cvtepi32_pd(_mm256_castsi256_si128((__m256i)a));
}
INLINE TARGET Doubles LEVEL(high_wide)(Ints a) {
    return (Doubles)_mm256_cvtepi32_pd(_mm256_extracti128_si256((__m256i)a, 1));
}
INLINE TARGET Doubles LEVEL(root)(Doubles a) { return (Doubles)_mm256_sqrt_pd(a); }
/* An estimate of 1 / sqrt(a), of a number from 1 on; 0 for 0. */
INLINE TARGET Floats LEVEL(inverse_root)(Floats a) {
    return (Floats)((Ints)_mm256_rsqrt_ps((__m256)a) & (Ints)(a > 0));
}
/* The nearest whole numbers, ties to even. */
INLINE TARGET Floats LEVEL(nearest)(Floats a) { return (Floats)_mm256_round_ps((__m256)a, _MM_FROUND_TO_NEAREST_INT); }
INLINE TARGET float LEVEL(floats_sum)(Floats a) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
INLINE TARGET int LEVEL(any)(Ints lanes) { return _mm256_movemask_ps((__m256)lanes); }
INLINE TARGET int LEVEL(any_reaches)(Floats a, Floats b) { return LEVEL(any)((Ints)(a >= b)); }
/* Rounded to the nearest integers, ties to even, as conversions do. */
INLINE TARGET Ints LEVEL(rounded)(Doubles low, Doubles high) {
    return (Ints)_mm256_set_m128i(_mm256_cvtpd_epi32(high), _mm256_cvtpd_epi32(low));
}
/* Apart, for it keeps the lanes in memory. */
APART TARGET void LEVEL(store_part)(uint8_t *out, int type, Ints values, int count) {
    int32_t lanes[LANES];
    memcpy(lanes, &values, sizeof lanes);
    store_lanes(out, type, lanes, count);
}
INLINE TARGET void LEVEL(store)(uint8_t *out, int type, Ints values, int count) {
    const __m128i low = _mm256_castsi256_si128((__m256i)values), high = _mm256_extracti128_si256((__m256i)values, 1);
    if (type == I8) {
        const __m128i words = _mm_packs_epi32(low, high), bytes = _mm_packs_epi16(words, words);
        if (count == LANES) _mm_storel_epi64((__m128i *)out, bytes);
        else store_bytes(out, (uint64_t)_mm_cvtsi128_si64(bytes), count);
    } else if (count == LANES && type == I16) {
        _mm_storeu_si128((__m128i *)out, _mm_packs_epi32(low, high));
    } else {
        LEVEL(store_part)(out, type, values, count);
    }
}
APART TARGET Ints LEVEL(load_part)(const uint8_t *in, int type, int count) {
    Ints values = {0};
    for (int i = 0; i < count; i++) values[i] = load_lane(in, type, i);
    return values;
}
INLINE TARGET Ints LEVEL(load)(const uint8_t *in, int type, int count) {
    if (count < LANES) return LEVEL(load_part)(in, type, count);
    if (type == I8) return (Ints)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)in));
    if (type == U8) return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)in));
    const __m128i halves = _mm_loadu_si128((const __m128i *)in);
    return (Ints)(type == I16 ? _mm256_cvtepi16_epi32(halves) : _mm256_cvtepu16_epi32(halves));
}
