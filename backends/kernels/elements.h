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

/* Elements of a line from `element` on, as `taken`. */
INLINE TARGET Floats LEVEL(taken_from)(const Line *line, int64_t element, int count) {
    return LEVEL(taken)(line->at + element * line->size, line->type, count);
}

/* A vector of sums of elements times tables, in doubles with their epilogue. */
INLINE TARGET void LEVEL(wide_added)(const Step *s, const Ending *end, const Floats x[2], uint8_t *out, int column,
                                     const int sources) {
    const int padded = (end->columns + BLOCK - 1) / BLOCK * BLOCK, half = LANES / 2;
    Doubles low = LEVEL(doubles)(s->offsets + column), high = LEVEL(doubles)(s->offsets + column + half);
    for (int k = sources - 1; k >= 0; k--) {
        const double *multipliers = s->multipliers + k * padded + column;
        low += LEVEL(low_doubles)(x[k]) * LEVEL(doubles)(multipliers);
        high += LEVEL(high_doubles)(x[k]) * LEVEL(doubles)(multipliers + half);
    }
    LEVEL(put_wide)(end, out, column, low, high);
}

/* The same in floats, where they tell all results. */
INLINE TARGET void LEVEL(added)(const Step *s, const Ending *end, const Floats x[2], uint8_t *out, int column,
                                const int sources) {
    const int padded = (end->columns + BLOCK - 1) / BLOCK * BLOCK;
    const Floats magic = LEVEL(all)(0x1.8p23);
    Floats total = {0};
    for (int k = 0; k < sources; k++)
        total = LEVEL(fused)(x[k], LEVEL(floats)(s->narrow_multipliers + k * padded + column), total);
    total += LEVEL(floats)(s->narrow_offsets + column);
    total = LEVEL(least)(LEVEL(most)(total, end->low), end->high);
    const Floats shifted = total + magic, off = LEVEL(magnitude)(total - (shifted - magic));
    if (LEVEL(any_reaches)(off, LEVEL(all)(s->certain))) LEVEL(wide_added)(s, end, x, out, column, sources);
    else LEVEL(put_whole)(end, out, column, shifted);
}

/* A vector of products of two elements less their zero points, with their epilogue. */
INLINE TARGET void LEVEL(multiplied)(const Step *s, const Ending *end, const Floats x[2], uint8_t *out, int column) {
    const int padded = (end->columns + BLOCK - 1) / BLOCK * BLOCK, half = LANES / 2;
    const double *multipliers = s->multipliers + column, *offsets = s->offsets + column;
    const Floats a = x[0] - LEVEL(floats)(s->weights + column), b = x[1] - LEVEL(floats)(s->weights + padded + column);
    const Doubles low = LEVEL(low_doubles)(a) * LEVEL(low_doubles)(b);
    const Doubles high = LEVEL(high_doubles)(a) * LEVEL(high_doubles)(b);
    LEVEL(put_wide)(end, out, column, low * LEVEL(doubles)(multipliers) + LEVEL(doubles)(offsets),
                    high * LEVEL(doubles)(multipliers + half) + LEVEL(doubles)(offsets + half));
}

/* The results of ADD or MULTIPLY from those of element `first` on, as many as there are columns. */
INLINE TARGET void LEVEL(arithmetic)(const Step *s, const Line line[2], int64_t first, uint8_t *out, const int sources) {
    const Ending end = LEVEL(ending)(s);
    const int multiplies = s->kind == MULTIPLY, wide = s->certain == 0;
    for (int column = 0; column < end.columns; column += LANES) {
        const int left = end.columns - column, count = left < LANES ? left : LANES;
        Floats x[2] = {LEVEL(taken_from)(line, first + column, count)};
        if (sources == 2) x[1] = LEVEL(taken_from)(line + 1, first + column, count);
        if (sources == 2 && multiplies) LEVEL(multiplied)(s, &end, x, out, column);
        else if (wide) LEVEL(wide_added)(s, &end, x, out, column, sources);
        else LEVEL(added)(s, &end, x, out, column, sources);
    }
}

/* The same of LOOKUP; return whether an element has no entry in the table. */
INLINE TARGET int LEVEL(lookups)(const Step *s, const Line *line, int64_t first, uint8_t *out) {
    const Ending end = LEVEL(ending)(s);
    const uint32_t *table = (const uint32_t *)s->table;
    const int32_t entries = s->count, zero = (int32_t)s->zero;
    Ints lane, without = {0};
    for (int i = 0; i < LANES; i++) lane[i] = i;
    for (int column = 0; column < end.columns; column += LANES) {
        const int left = end.columns - column, count = left < LANES ? left : LANES;
        const Ints entry = __builtin_convertvector(LEVEL(taken_from)(line, first + column, count), Ints) - zero;
        const Ints outside = (entry < 0) | (entry >= entries);
        LEVEL(store)(out + column * end.size, end.type, LEVEL(looked_up)(table, entry & ~outside), count);
        without |= outside & (lane < count);
    }
    return LEVEL(any)(without) != 0;
}

/* Perform a step on an image; return whether it met a fault. */
TARGET static int LEVEL(elements)(const Step *s, const Batch *b, int64_t image) {
    const uint8_t *memory = b->memory + image * b->pitch;
    uint8_t *out = b->memory + image * b->pitch + s->out_base;
    Line line[2];
    for (int k = 0; k < s->sources; k++) {
        const Source *source = s->source + k;
        const uint8_t *from = source->constant ? source->constant : memory;
        if (s->direct) line[k] = (Line){from + source->base, source->type, bytes_of(source->type)};
        else line[k] = (Line){b->scratch + (int64_t)s->taps[k] * 4, REAL, 4};
    }
    int fault = 0;
    for (int64_t v = 0; v < s->vectors; v++, out += s->out_step)
        if (s->kind == LOOKUP) fault |= LEVEL(lookups)(s, line, v * s->columns, out);
        else if (s->sources == 2) LEVEL(arithmetic)(s, line, v * s->columns, out, 2);
        else LEVEL(arithmetic)(s, line, v * s->columns, out, 1);
    return fault;
}
#undef Line
