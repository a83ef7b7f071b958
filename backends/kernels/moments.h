/* Moments of the columns of sums, included by kernels.h for every level.
 *
 * Each column's terms are added one row after the other, as numpy adds rows: the same bits at every level.
 */

/* Add up the columns. */
TARGET static void LEVEL(totals)(const Sums *s, int64_t *restrict totals) {
    for (int64_t i = 0; i < s->images; i++) {
        const int32_t *x = (const int32_t *)(s->first + i * s->pitch);
        for (int64_t v = 0; v < s->vectors; v++, x += s->columns)
            for (int64_t c = 0; c < s->columns; c++) totals[c] += x[c];
    }
}

/* Add up the moments of the LANES columns from `c` on. */
INLINE TARGET void LEVEL(moments_of_lanes)(const Sums *s, const Moments *m, int64_t c) {
    const int64_t half = c + LANES / 2;
    const Doubles centre[2] = {LEVEL(doubles)(m->centre + c), LEVEL(doubles)(m->centre + half)};
    const Doubles aimed[2] = {LEVEL(doubles)(m->aimed + c), LEVEL(doubles)(m->aimed + half)};
    Doubles products[2] = {LEVEL(doubles)(m->products + c), LEVEL(doubles)(m->products + half)};
    Doubles squares[2] = {LEVEL(doubles)(m->squares + c), LEVEL(doubles)(m->squares + half)};
    const int32_t *aim = m->aim + c;
    for (int64_t i = 0; i < s->images; i++) {
        const int32_t *x = (const int32_t *)(s->first + i * s->pitch) + c;
        for (int64_t v = 0; v < s->vectors; v++, x += s->columns, aim += s->columns) {
            const Ints sums = LEVEL(ints)(x), aims = LEVEL(ints)(aim);
            const Doubles off[2] = {LEVEL(low_wide)(sums) - centre[0], LEVEL(high_wide)(sums) - centre[1]};
            products[0] += (LEVEL(low_wide)(aims) - aimed[0]) * off[0], squares[0] += off[0] * off[0];
            products[1] += (LEVEL(high_wide)(aims) - aimed[1]) * off[1], squares[1] += off[1] * off[1];
        }
    }
    memcpy(m->products + c, products, sizeof products), memcpy(m->squares + c, squares, sizeof squares);
}

/* Add up the moments of one column. */
INLINE TARGET void LEVEL(moments_of_column)(const Sums *s, const Moments *m, int64_t c) {
    const int32_t *aim = m->aim + c;
    for (int64_t i = 0; i < s->images; i++) {
        const int32_t *x = (const int32_t *)(s->first + i * s->pitch) + c;
        for (int64_t v = 0; v < s->vectors; v++, x += s->columns, aim += s->columns) {
            const double off = *x - m->centre[c];
            m->products[c] += (*aim - m->aimed[c]) * off, m->squares[c] += off * off;
        }
    }
}

TARGET static void LEVEL(moments)(const Sums *s, const Moments *m) {
    int64_t c = 0;
    for (; c + LANES <= s->columns; c += LANES) LEVEL(moments_of_lanes)(s, m, c);
    for (; c < s->columns; c++) LEVEL(moments_of_column)(s, m, c);
}
