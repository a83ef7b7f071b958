/* Weighted sums over the taps of windows by products of bytes, four taps of a row at a time (VNNI).
 *
 * Vectors of results that lie side by side are a line, and 64 bytes of it a piece. A quad is the bytes of a channel at
 * four taps; quads are made once for rows of results below each other. Packing the sums undoes the order that they get.
 */

/* Quads of a piece, each byte XOR `flip`, at the taps that lie at `offsets`; behind the first `taps` the last is repeated. */
INLINE TARGET void LEVEL(quads)(__m512i x[FOURTHS], const uint8_t *at, const int32_t *offsets, const int taps,
                                __mmask64 taken, __m512i flip) {
    __m512i line[TAPS];
    for (int n = 0; n < taps; n++) line[n] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(taken, at + offsets[n]), flip);
    for (int n = taps; n < TAPS; n++) line[n] = line[taps - 1];
    const __m512i low[2] = {_mm512_unpacklo_epi8(line[0], line[1]), _mm512_unpackhi_epi8(line[0], line[1])};
    const __m512i high[2] = {_mm512_unpacklo_epi8(line[2], line[3]), _mm512_unpackhi_epi8(line[2], line[3])};
    for (int n = 0; n < 2; n++) {
        x[2 * n] = _mm512_unpacklo_epi16(low[n], high[n]);
        x[2 * n + 1] = _mm512_unpackhi_epi16(low[n], high[n]);
    }
}

/* Make the results of a line's bytes from `first` up to `last` again in doubles. */
APART TARGET void LEVEL(again)(const Step *s, const uint8_t *place, uint8_t *out, int first, int last) {
    for (int at = first, channel; at < last; at += s->columns - channel < LANES ? s->columns - channel : LANES) {
        channel = at % s->columns;
        LEVEL(wide_weighted)(s, place + at - channel, out + at - channel, channel, s->source->type);
    }
}

/* End a piece: the results of its sums. Where one is too close to the middle between two, a quarter is made again. */
INLINE TARGET void LEVEL(end_piece)(const Step *s, const uint8_t *place, uint8_t *out, int piece, const Ints sum[FOURTHS]) {
    enum { FRACTION = 0, LARGER_MAGNITUDE = 11 }; /* immediates: beside the nearest whole number; without a sign */
    const Quads *q = s->quads;
    const int table = piece % q->pieces * PIECE, at = piece * PIECE, count = q->length - at < PIECE ? q->length - at : PIECE;
    const __m512i least = _mm512_set1_epi16((int16_t)s->low), most = _mm512_set1_epi16((int16_t)s->high);
    __m512i whole[FOURTHS], half[2];
    __m512 farthest = _mm512_setzero_ps();
    for (int n = 0; n < FOURTHS; n++) {
        const int lane = table + n * LANES;
        const __m512 multipliers = _mm512_loadu_ps(q->multipliers + lane), offsets = _mm512_loadu_ps(q->offsets + lane);
        const __m512 result = _mm512_fmadd_ps(_mm512_cvtepi32_ps((__m512i)sum[n]), multipliers, offsets);
        whole[n] = _mm512_cvtps_epi32(result);
        farthest = _mm512_range_ps(farthest, _mm512_reduce_ps(result, FRACTION), LARGER_MAGNITUDE);
    }
    for (int n = 0; n < 2; n++) {
        half[n] = _mm512_packs_epi32(whole[2 * n], whole[2 * n + 1]);
        half[n] = _mm512_min_epi16(_mm512_max_epi16(half[n], least), most);
    }
    const __m512i bytes = s->out_type == I8 ? _mm512_packs_epi16(half[0], half[1]) : _mm512_packus_epi16(half[0], half[1]);
    _mm512_mask_storeu_epi8(out + at, ~(__mmask64)0 >> (PIECE - count), bytes);
    const int lanes = LEVEL(any_reaches)((Floats)farthest, LEVEL(all)(s->certain));
    for (int first = 0; lanes && first < count; first += LANES)
        if (lanes >> first / LANES * (LANES / FOURTHS) & 15)
            LEVEL(again)(s, place, out, at + first, at + (count - first < LANES ? count : first + LANES));
}

/* A piece of `lines` lines below each other, the first from `place` on; `height` rows of `across` quads of `taps` taps. */
INLINE TARGET void LEVEL(piece)(const Step *s, const uint8_t *place, uint8_t *out, int piece, const int lines,
                                const int height, const int across, const int taps, const int stride) {
    const Quads *q = s->quads;
    const int table = piece % q->pieces, left = q->length - piece * PIECE;
    const __mmask64 taken = ~(__mmask64)0 >> (left < PIECE ? PIECE - left : 0);
    const __m512i flip = _mm512_set1_epi8((char)q->flip);
    const int8_t *weights = q->weights + (int64_t)table * height * across * FOURTHS * PIECE;
    Ints sum[MOST_ROWS][FOURTHS];
#pragma GCC unroll 4
    for (int line = 0; line < lines; line++)
        for (int n = 0; n < FOURTHS; n++) sum[line][n] = LEVEL(ints)(q->starts + (table * FOURTHS + n) * LANES);
#pragma GCC unroll 6
    for (int row = 0; row < height + (lines - 1) * stride; row++)
        for (int k = 0; k < across; k++) {
            __m512i x[FOURTHS];
            LEVEL(quads)(x, place + row * q->pitch + piece * PIECE, q->taps + k * TAPS, taps, taken, flip);
#pragma GCC unroll 4
            for (int line = 0; line < lines; line++) {
                const int tap = row - line * stride;
                if (tap < 0 || tap >= height) continue;
                const int8_t *w = weights + (tap * across + k) * FOURTHS * PIECE;
                for (int n = 0; n < FOURTHS; n++)
                    sum[line][n] = (Ints)_mm512_dpbusd_epi32((__m512i)sum[line][n], x[n], _mm512_loadu_si512(w + n * PIECE));
            }
        }
#pragma GCC unroll 4
    for (int line = 0; line < lines; line++)
        LEVEL(end_piece)(s, place + line * stride * q->pitch, out + line * q->out_pitch, piece, sum[line]);
}

/* Perform a SUM over bytes, image by image. */
TARGET static int LEVEL(perform_quads)(const Step *s, const Batch *b) {
    const Quads *q = s->quads;
    const int pieces = (q->length + PIECE - 1) / PIECE, most = MOST_ROWS;
    const int is_small = q->height == 3 && q->width == 3 && q->stride == 1;
    for (int64_t image = 0; image < b->images; image++) {
        uint8_t *memory = b->memory + image * b->pitch;
        if (LEVEL(rectangle_int8)(s->source, memory, (int8_t *)b->scratch)) return 1;
        for (int row = 0, rows; row < q->rows; row += rows) {
            rows = q->rows - row < most ? 1 : most;
            for (int line = 0; line < q->lines; line++) {
                const int vector = (row * q->lines + line) * q->joined;
                const uint8_t *place = b->scratch + s->places[vector];
                uint8_t *out = memory + s->out_base + vector * s->out_step;
                for (int piece = 0; piece < pieces; piece++)
                    if (rows == 1) LEVEL(piece)(s, place, out, piece, 1, q->height, q->across, TAPS, q->stride);
                    else if (is_small) LEVEL(piece)(s, place, out, piece, MOST_ROWS, 3, 1, 3, 1);
                    else LEVEL(piece)(s, place, out, piece, MOST_ROWS, q->height, q->across, TAPS, q->stride);
            }
        }
    }
    return 0;
}
