/* Sixteen lanes of AVX-512. The including file says whether VNNI is there: LEVEL, TARGET and DOT. */
#define LANES 16
#define VECTORS 2
#define ROWS 8
#define FLOAT_IS_EXACT 1
#define ROOT_ERROR 0x1p-14 /* of inverse_root, relative */

typedef int32_t LEVEL(Ints) __attribute__((vector_size(64)));
typedef float LEVEL(Floats) __attribute__((vector_size(64)));
typedef double LEVEL(Doubles) __attribute__((vector_size(64)));
#define Ints LEVEL(Ints)
#define Floats LEVEL(Floats)
#define Doubles LEVEL(Doubles)

INLINE TARGET Ints LEVEL(pairs)(Ints sum, Ints a, Ints b) { return (Ints)DOT((__m512i)sum, (__m512i)a, (__m512i)b); }
INLINE TARGET Ints LEVEL(dot)(Ints sum, int32_t pair, Ints weights) {
    return LEVEL(pairs)(sum, (Ints)_mm512_set1_epi32(pair), weights);
}
INLINE TARGET Ints LEVEL(looked_up)(const uint32_t *table, Ints index) {
    return (Ints)_mm512_i32gather_epi32((__m512i)index, table, 4);
}
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
/* An estimate of 1 / sqrt(a), of a number from 1 on; something finite for 0. */
INLINE TARGET Floats LEVEL(inverse_root)(Floats a) {
    return (Floats)_mm512_rsqrt14_ps(_mm512_max_ps((__m512)a, _mm512_set1_ps(1)));
}
INLINE TARGET float LEVEL(floats_sum)(Floats a) { return _mm512_reduce_add_ps((__m512)a); }
INLINE TARGET int LEVEL(any)(Ints lanes) { return _mm512_movepi32_mask((__m512i)lanes); }
INLINE TARGET int LEVEL(any_reaches)(Floats a, Floats b) {
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GE_OQ);
}
INLINE TARGET Ints LEVEL(joined)(Doubles low, Doubles high) {
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
