/* The steps that take streams element by element: sums, products and look-ups; kernels.h includes this for each level.
 *
 * Streams in lines that no result overwrites too early are read where they lie; others come from rectangles of floats.
 */

/* Where the elements of a source begin. */
typedef struct {
    const uint8_t *at;
    int type, size;
} LEVEL(Line);
#define Line LEVEL(Line)

/* Elements from `element` on; what those behind the first `count` are means nothing. */
INLINE TARGET Floats LEVEL(taken)(const Line *line, int64_t element, int count) {
    const uint8_t *at = line->at + element * line->size;
    if (line->type == REAL) return LEVEL(floats)((const float *)at);
    return __builtin_convertvector(LEVEL(load)(at, line->type, count), Floats);
}
INLINE TARGET Ints LEVEL(taken_whole)(const Line *line, int64_t element, int count) {
    const uint8_t *at = line->at + element * line->size;
    if (line->type == REAL) return __builtin_convertvector(LEVEL(floats)((const float *)at), Ints);
    return LEVEL(load)(at, line->type, count);
}

/* Sums of elements times tables in doubles, with their epilogue. */
INLINE TARGET void LEVEL(wide_added)(const Step *s, const Floats x[2], uint8_t *out, int column) {
    const int padded = (s->columns + BLOCK - 1) / BLOCK * BLOCK, half = LANES / 2;
    Doubles low = {0}, high = {0};
    for (int k = 0; k < s->sources; k++) {
        const Floats weights = LEVEL(floats)(s->weights + k * padded + column);
        low += LEVEL(low_doubles)(x[k]) * LEVEL(low_doubles)(weights);
        high += LEVEL(high_doubles)(x[k]) * LEVEL(high_doubles)(weights);
    }
    LEVEL(put_wide)(s, out, column, low + LEVEL(doubles)(s->offsets + column), high + LEVEL(doubles)(s->offsets + column + half));
}

/* The same in floats, where they tell all results. */
INLINE TARGET void LEVEL(added)(const Step *s, const Ending *end, const Floats x[2], uint8_t *out, int column) {
    const int padded = (s->columns + BLOCK - 1) / BLOCK * BLOCK;
    const Floats magic = LEVEL(all)(0x1.8p23);
    Floats total = {0};
    for (int k = 0; k < s->sources; k++)
        total = LEVEL(fused)(x[k], LEVEL(floats)(s->weights + k * padded + column), total);
    total += LEVEL(floats)(s->narrow_offsets + column);
    total = LEVEL(least)(LEVEL(most)(total, end->low), end->high);
    const Floats shifted = total + magic, off = LEVEL(magnitude)(total - (shifted - magic));
    if (LEVEL(any_reaches)(off, LEVEL(all)(s->certain))) LEVEL(wide_added)(s, x, out, column);
    else LEVEL(put_whole)(end, out, column, shifted);
}

/* Products of two elements less their zero points, with their epilogue. */
INLINE TARGET void LEVEL(multiplied)(const Step *s, const Floats x[2], uint8_t *out, int column) {
    const int padded = (s->columns + BLOCK - 1) / BLOCK * BLOCK, half = LANES / 2;
    const double *multipliers = s->multipliers + column, *offsets = s->offsets + column;
    const Floats a = x[0] - LEVEL(floats)(s->weights + column), b = x[1] - LEVEL(floats)(s->weights + padded + column);
    const Doubles low = LEVEL(low_doubles)(a) * LEVEL(low_doubles)(b);
    const Doubles high = LEVEL(high_doubles)(a) * LEVEL(high_doubles)(b);
    LEVEL(put_wide)(s, out, column, low * LEVEL(doubles)(multipliers) + LEVEL(doubles)(offsets),
                    high * LEVEL(doubles)(multipliers + half) + LEVEL(doubles)(offsets + half));
}

/* Entries of a table; return which of the first `count` elements have none. */
INLINE TARGET Ints LEVEL(looked_up_in)(const Step *s, Ints x, uint8_t *out, int count) {
    Ints lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    const Ints entry = x - (int32_t)s->zero;
    const Ints outside = (entry < 0) | (entry >= s->count), found = entry & ~outside;
    LEVEL(store)(out, s->out_type, LEVEL(looked_up)((const uint32_t *)s->table, found), count);
    return outside & (lane < count);
}

/* Perform a step on an image; return whether it met a fault. */
TARGET static int LEVEL(elements)(const Step *s, const Batch *b, int64_t image) {
    const uint8_t *memory = b->memory + image * b->pitch;
    const Ending end = LEVEL(ending)(s);
    Line line[2];
    for (int k = 0; k < s->sources; k++) {
        const Source *source = s->source + k;
        const uint8_t *from = source->constant ? source->constant : memory;
        if (s->direct) line[k] = (Line){from + source->base, source->type, bytes_of(source->type)};
        else line[k] = (Line){b->scratch + (int64_t)s->taps[k] * 4, REAL, 4};
    }
    Ints outside = {0};
    uint8_t *out = b->memory + image * b->pitch + s->out_base;
    for (int64_t v = 0; v < s->vectors; v++, out += s->out_step)
        for (int column = 0; column < s->columns; column += LANES) {
            const int64_t element = v * s->columns + column;
            const int left = s->columns - column, count = left < LANES ? left : LANES;
            if (s->kind == LOOKUP) {
                const Ints x = LEVEL(taken_whole)(line, element, count);
                outside |= LEVEL(looked_up_in)(s, x, out + column * end.size, count);
                continue;
            }
            Floats x[2] = {LEVEL(taken)(line, element, count)};
            if (s->sources == 2) x[1] = LEVEL(taken)(line + 1, element, count);
            if (s->kind == MULTIPLY) LEVEL(multiplied)(s, x, out, column);
            else if (s->certain == 0) LEVEL(wide_added)(s, x, out, column);
            else LEVEL(added)(s, &end, x, out, column);
        }
    return LEVEL(any)(outside) != 0;
}
#undef Line
