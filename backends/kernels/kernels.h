/* The kernels, included once for each level of the processor after its lanes.
 *
 * A step goes over the images in groups. Each tensor of a group is first spread into a padded rectangle of its own, so
 * that every window is a set of offsets from one place; then a tile of vectors and columns is summed in registers and
 * leaves them as results: array sums, ADC and epilogue never reach memory.
 */

/* Where the next vector of a group of images is read, in the rectangles of `size` bytes an element, and written. */
typedef struct {
    const uint8_t *rectangle;
    int64_t image_bytes;
    int size;
    uint8_t *out;
    int64_t image, vector;
} LEVEL(Walk);
#define Walk LEVEL(Walk)

typedef struct {
    const uint8_t *place[ROWS]; /* of each vector in the rectangle */
    uint8_t *out[ROWS];
    int64_t image[ROWS], vector[ROWS];
    int rows;                   /* in use; the others repeat the last */
    const Made *made;           /* [parts]: where tile registers have made the sums, from `row` on; else NULL */
    int row;
    const Draws *draws;         /* [parts]: how the noise of these columns is drawn; NULL: without noise */
} LEVEL(Tile);
#define Tile LEVEL(Tile)

INLINE TARGET Floats LEVEL(floats)(const float *from) {
    Floats values;
    memcpy(&values, from, sizeof values);
    return values;
}
INLINE TARGET Doubles LEVEL(doubles)(const double *from) {
    Doubles values;
    memcpy(&values, from, sizeof values);
    return values;
}
INLINE TARGET Ints LEVEL(ints)(const void *from) {
    Ints values;
    memcpy(&values, from, sizeof values);
    return values;
}

/* The same float in all lanes; adding it to 0 would not be folded, for -0. */
INLINE TARGET Floats LEVEL(all)(double a) { return (float)a - (Floats){0}; }

/* Rounding to the nearest integer, ties to even: adding 1.5 * 2^52 leaves no bit below 1. */
INLINE TARGET Doubles LEVEL(round)(Doubles a) { return a + 0x1.8p52 - 0x1.8p52; }

/* Start before the first vector of a group, which begins with image `first`. */
INLINE Walk LEVEL(walk)(const Step *s, const Batch *b, int64_t first, int64_t image_bytes, int size) {
    uint8_t *out = b->memory + first * b->pitch + s->out_base;
    return (Walk){.rectangle = b->scratch, .image_bytes = image_bytes, .size = size, .out = out, .image = first};
}

/* Step on to the next vector; those of an image are followed by those of the next. */
INLINE void LEVEL(step_on)(Walk *walk, const Step *s, const Batch *b) {
    walk->vector++, walk->out += s->out_step;
    if (walk->vector < s->vectors) return;
    walk->vector = 0, walk->image++, walk->rectangle += walk->image_bytes;
    walk->out = b->memory + walk->image * b->pitch + s->out_base;
}

/* Make a tile of the next vectors, of which `left` are left. */
INLINE TARGET void LEVEL(next)(Tile *tile, Walk *walk, const Step *s, const Batch *b, int64_t left) {
    tile->rows = left < ROWS ? (int)left : ROWS;
    for (int r = 0; r < ROWS; r++) {
        const int64_t place = s->places[walk->vector];
        tile->place[r] = walk->rectangle + place * walk->size;
        tile->image[r] = walk->image, tile->vector[r] = walk->vector, tile->out[r] = walk->out;
        if (r + 1 < tile->rows) LEVEL(step_on)(walk, s, b);
    }
    LEVEL(step_on)(walk, s, b);
}

/* sum_i x_i G_ij of a tile: `vectors` vectors of columns from `weights` on; x lies `shift` bytes behind its place.
 * Of the tile's rows, the first `rows` are summed. The pairs of a row alone take turns among TURNS sums, or each would
 * wait for the one before. */
INLINE TARGET void LEVEL(dots)(Ints sum[ROWS][VECTORS], const Tile *tile, const Part *part, const int16_t *weights,
                               int64_t shift, const int vectors, const int rows) {
    enum { TURNS = 4 };
    const int turns = rows == 1 && ROWS > 1 ? TURNS : 1;
    const uint8_t *place[ROWS];
    Ints sums[ROWS * TURNS][VECTORS];
    for (int r = 0; r < rows; r++) place[r] = tile->place[r] + shift;
    for (int n = 0; n < rows * turns; n++)
        for (int v = 0; v < vectors; v++) sums[n][v] = (Ints){0};
    const int64_t block_bytes = (int64_t)part->pairs * BLOCK * 4;
    const uint8_t *at = (const uint8_t *)weights;
    for (int32_t p = 0; p < part->pairs; p += turns)
        for (int turn = 0; turn < turns; turn++, at += BLOCK * 4) {
            if (turn && p + turn >= part->pairs) break;
            const int64_t offset = (int64_t)part->offsets[p + turn] * 2;
            Ints g[VECTORS];
            for (int v = 0; v < vectors; v++)
                g[v] = LEVEL(ints)(at + (v * LANES / BLOCK) * block_bytes + v * LANES % BLOCK * 4);
            for (int r = 0; r < rows; r++) {
                int32_t pair;
                memcpy(&pair, place[r] + offset, sizeof pair);
                for (int v = 0; v < vectors; v++)
                    sums[r * turns + turn][v] = LEVEL(dot)(sums[r * turns + turn][v], pair, g[v]);
            }
        }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            sum[r][v] = sums[r * turns][v];
            for (int turn = 1; turn < turns; turn++) sum[r][v] += sums[r * turns + turn][v];
        }
}

/* The integer Gaussian of gaussian.py, in units of 2^-16. Without the bits that could round up to the next cell, a
 * float's exponent and top bits are row and cell. The fall within the cell is multiplied in two parts, which have 11 and
 * 14 bits. */
INLINE TARGET Ints LEVEL(normals)(const uint32_t *cells, Ints words) {
    const int half = INTERPOLATION_BITS - FALL_BITS;
    Ints u = words & INT32_MAX, sign = words >> 31;
    u -= u == 0;
    const Ints bits = (Ints)__builtin_convertvector(u & ~(u >> (CELL_BITS + 1)), Floats);
    const Ints index = (bits >> (FLOAT_DIGITS - CELL_BITS)) - (FLOAT_BIAS << CELL_BITS);
    const Ints rest = u << (FLOAT_BIAS + 30 - (bits >> FLOAT_DIGITS)) & ((1 << INTERPOLATION_BITS) - 1);
    const Ints cell = LEVEL(looked_up)(cells, index), fall = cell & ((1 << FALL_BITS) - 1);
    const Ints low = LEVEL(pairs)((Ints){0} + (1 << (INTERPOLATION_BITS - 1)), fall, rest & ((1 << FALL_BITS) - 1));
    const Ints both = LEVEL(pairs)(low >> FALL_BITS, fall, rest >> FALL_BITS);
    return (((cell >> FALL_BITS) - (both >> half)) ^ sign) - sign;
}

/* Begin the draws of a tile's columns from block `block` on. */
INLINE Draws LEVEL(begun)(const Noise *noise, const Step *s, int block, const int vectors) {
    const int left = s->columns - block * BLOCK;
    return draws_of(noise, noise->column + block * BLOCK, left < vectors * LANES ? left : vectors * LANES);
}

/* Draw the normal variables of a tile's columns; what those behind the last get means nothing. The next words are drawn
 * before these become normal variables: the processor works on both at once. */
INLINE TARGET void LEVEL(draw)(Ints z[ROWS][VECTORS], const Noise *noise, const Draws *draws, const Tile *tile,
                               const Batch *b, const int vectors) {
    const uint64_t first = noise->vector + (uint64_t)way(noise->moves, b), sample = (uint64_t)b->sample;
    uint32_t words[2][DRAWN][MOST_WORDS]; /* not cleared, which would take longer than drawing them: any word will do */
    for (int r = -DRAWN; r < tile->rows; r += DRAWN) {
        const int next = r + DRAWN;
        if (next < tile->rows)
            LEVEL(drawn)(draws, sample, first, tile->image + next, tile->vector + next, words[next / DRAWN & 1]);
        for (int n = 0; r >= 0 && n < DRAWN; n++)
            for (int v = 0; v < vectors; v++)
                z[r + n][v] = LEVEL(normals)(noise->normals, LEVEL(ints)(words[r / DRAWN & 1][n] + draws->start + v * LANES));
    }
}

/* Add the noise of each product, made of the variables z: rint(sqrt(variance) * z * scale), in doubles operation by
 * operation as in numpy. The columns of a block from its lane `lane` on. */
INLINE TARGET void LEVEL(disturb)(Ints sum[ROWS][VECTORS], Ints z[ROWS][VECTORS], const Step *s, const Tile *tile,
                                  const Part *part, int block, int lane, const int vectors, const int rows) {
    const Noise *noise = part->noise;
    const int64_t size = (int64_t)part->pairs * BLOCK * 2, blocks = (s->columns + BLOCK - 1) / BLOCK;
    Doubles variance[ROWS][VECTORS][2] = {{{{0}}}};
    double unit = 1;
    for (int d = 0; d < noise->count; d++, unit *= 1 << noise->bits) {
        const int16_t *digits = noise->digits + (d * blocks + block) * size + lane * 2;
        Ints part_sum[ROWS][VECTORS];
        LEVEL(dots)(part_sum, tile, part, digits, (int64_t)s->room * 2, vectors, rows);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vectors; v++) {
                Ints centred = part_sum[r][v] ^ INT32_MIN; /* sums reach 2^32 */
                variance[r][v][0] += (LEVEL(low_wide)(centred) + 0x1p31) * unit;
                variance[r][v][1] += (LEVEL(high_wide)(centred) + 0x1p31) * unit;
            }
    }
    for (int r = 0; r < tile->rows; r++)
        for (int v = 0; v < vectors; v++) {
            Doubles low = LEVEL(root)(variance[r][v][0]) * LEVEL(low_wide)(z[r][v]) * noise->scale;
            Doubles high = LEVEL(root)(variance[r][v][1]) * LEVEL(high_wide)(z[r][v]) * noise->scale;
            sum[r][v] += LEVEL(rounded)(low, high);
        }
}

/* The same of a whole tile, drawn for it. */
TARGET static void LEVEL(disturb_tile)(Ints sum[ROWS][VECTORS], const Step *s, const Tile *tile, const Part *part,
                                       int block, const Batch *b, const int vectors) {
    Ints z[ROWS][VECTORS];
    LEVEL(draw)(z, part->noise, tile->draws + (part - s->parts), tile, b, vectors);
    LEVEL(disturb)(sum, z, s, tile, part, block, 0, vectors, ROWS);
}

/* The array sums of part `t` of a tile without noise. */
INLINE TARGET void LEVEL(sums)(Ints sum[ROWS][VECTORS], const Tile *tile, const Step *s, int t, int block,
                               const int vectors, const int rows) {
    const Part *part = s->parts + t;
    if (TILED && tile->made) {
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vectors; v++) {
                const int row = tile->row + (r < tile->rows ? r : tile->rows - 1), lane = v * LANES % BLOCK;
                const int32_t(*digits)[GROUP][BLOCK] = tile->made[t].sums[v * LANES / BLOCK];
                sum[r][v] = (LEVEL(ints)(digits[0][row] + lane) << 8) + LEVEL(ints)(digits[1][row] + lane);
            }
        return;
    }
    const int64_t shift = part->negative ? (int64_t)s->room * 2 : 0;
    LEVEL(dots)(sum, tile, part, part->weights + (int64_t)block * part->pairs * BLOCK * 2, shift, vectors, rows);
}

/* Codes are clipped to those of an ADC that has `wider` more on both sides: with one, clips are seen before they are
 * made (`counted`).
 *
 * The codes of sums below 2^24. The fused product and addition rounds the exact s * m / 2^k once, to a multiple of 1
 * wherever it matters: with 1.5 * 2^23 added, floats of magnitude below 2^22 are whole, and the others clip. */
INLINE TARGET Floats LEVEL(codes)(Ints sum, const Part *part, const int wider) {
    const double magic = 0x1.8p23;
    Floats scaled = LEVEL(fused)(__builtin_convertvector(sum, Floats), LEVEL(all)(part->factor), LEVEL(all)(magic));
    scaled = LEVEL(most)(scaled, LEVEL(all)(part->low - wider + magic));
    return LEVEL(least)(scaled, LEVEL(all)(part->high + wider + magic)) - (float)magic;
}

INLINE TARGET Floats LEVEL(magnitude)(Floats a) { return (Floats)((Ints)a & INT32_MAX); }

/* The whole numbers between which noise lies that is estimated to be `added`, at most `wrong` off; return whether floats
 * tell them. */
INLINE TARGET int LEVEL(between)(Ints limits[2], Floats added, Floats wrong) {
    const Floats magic = LEVEL(all)(0x1.8p23);
    limits[0] = (Ints)(added - wrong + magic) - (Ints)magic, limits[1] = (Ints)(added + wrong + magic) - (Ints)magic;
    return !LEVEL(any_reaches)(LEVEL(magnitude)(added) + wrong, LEVEL(all)(0x1p22));
}

/* The sums of row r of a tile and LANES columns with their noise, made of the variables z. */
APART TARGET Ints LEVEL(disturbed)(const Step *s, const Tile *tile, int r, const Part *part, int column, Ints sum, Ints z) {
    const Tile row = {.place = {tile->place[r]}, .rows = 1};
    Ints disturbed[ROWS][VECTORS] = {{sum}}, drawn[ROWS][VECTORS] = {{z}};
    LEVEL(disturb)(disturbed, drawn, s, &row, part, column / BLOCK, column % BLOCK, 1, 1);
    return disturbed[0][0];
}

/* The codes of row r of a tile and LANES columns, some of them in doubt; their noise, in codes, is estimated to be
 * `added`, at most `wrong` off. Most are told by the whole numbers that the noise may be; the others are made again. */
APART TARGET Floats LEVEL(settled)(const Step *s, const Tile *tile, int r, const Part *part, int column, Ints sum, Ints z,
                                   Floats added, Floats wrong, int wider) {
    const Floats unit = LEVEL(all)(1 / part->factor);
    Ints noise[2];
    if (LEVEL(between)(noise, added * unit, wrong * unit)) {
        const Floats low = LEVEL(codes)(sum + noise[0], part, wider), high = LEVEL(codes)(sum + noise[1], part, wider);
        if (!LEVEL(any)((Ints)(low != high))) return low;
    }
    return LEVEL(codes)(LEVEL(disturbed)(s, tile, r, part, column, sum, z), part, wider);
}

/* What the estimated variances of a tile's columns sum to at most in a row, in the block that vector v is of; behind the
 * last column all are 0. */
INLINE TARGET Floats LEVEL(block_most)(Ints variance[ROWS][VECTORS], int v, const int vectors, int rows) {
    Floats sum = {0};
    for (int u = 0; u < vectors; u++) {
        if (u * LANES / BLOCK != v * LANES / BLOCK) continue;
        Floats most = {0};
        for (int r = 0; r < rows; r++) most = LEVEL(most)(most, __builtin_convertvector(variance[r][u], Floats));
        sum += most;
    }
    return LEVEL(all)(LEVEL(floats_sum)(sum));
}

/* The noise of sums in codes: estimated to be `added`, at most `wrong` off. */
typedef struct {
    Floats added, wrong;
} LEVEL(Guess);
#define Guess LEVEL(Guess)

/* A variance V wrong by d has a root wrong by at most d / sqrt(V), however large d is. */
INLINE TARGET Guess LEVEL(guess)(Ints variance, Ints z, Floats spreads, Floats inaccuracy, Floats off) {
    const Floats variances = __builtin_convertvector(variance, Floats);
    const Floats slope = LEVEL(inverse_root)(variances) * (__builtin_convertvector(z, Floats) * spreads);
    return (Guess){slope * variances, LEVEL(magnitude)(slope) * LEVEL(fused)(variances, inaccuracy, off)};
}

/* What the codes of a tile's columns are estimated from: sums, normal variables, and variances in the units of their
 * columns. */
INLINE TARGET void LEVEL(noisy_sums)(Ints sum[ROWS][VECTORS], Ints z[ROWS][VECTORS], Ints variance[ROWS][VECTORS],
                                     const Step *s, const Tile *tile, const Part *part, int block, const Batch *b,
                                     const int vectors, const int rows) {
    const int64_t size = (int64_t)part->pairs * BLOCK * 2;
    LEVEL(dots)(sum, tile, part, part->weights + block * size, 0, vectors, rows);
    LEVEL(dots)(variance, tile, part, part->noise->estimates + block * size, (int64_t)s->room * 2, vectors, rows);
    LEVEL(draw)(z, part->noise, tile->draws + (part - s->parts), tile, b, vectors);
}

/* The codes of sums with fresh noise: estimated in floats, and settled where one's estimate is too close to the
 * middle between two. */
INLINE TARGET void LEVEL(noisy_codes)(Floats codes[ROWS][VECTORS], const Step *s, const Tile *tile, const Part *part,
                                      int block, const Batch *b, const int vectors, const int rows, const int wider) {
    const Noise *noise = part->noise;
    const Floats magic = LEVEL(all)(0x1.8p23), factor = LEVEL(all)(part->factor);
    const Floats lowest = LEVEL(all)(part->low - wider), highest = LEVEL(all)(part->high + wider);
    const Floats inaccuracy = LEVEL(all)(noise->error + ROOT_ERROR), certain = LEVEL(all)(noise->certain);
    Ints sum[ROWS][VECTORS], z[ROWS][VECTORS], variance[ROWS][VECTORS];
    LEVEL(noisy_sums)(sum, z, variance, s, tile, part, block, b, vectors, rows);
    for (int v = 0; v < vectors; v++) {
        const int column = block * BLOCK + v * LANES;
        const Floats spreads = LEVEL(floats)(noise->spreads + column);
        const Floats off = LEVEL(floats)(noise->shares + column) * LEVEL(block_most)(variance, v, vectors, rows);
        for (int r = 0; r < tile->rows; r++) {
            const Guess guess = LEVEL(guess)(variance[r][v], z[r][v], spreads, inaccuracy, off);
            Floats code = LEVEL(fused)(__builtin_convertvector(sum[r][v], Floats), factor, guess.added);
            code = LEVEL(least)(LEVEL(most)(code, lowest), highest);
            codes[r][v] = code + magic - magic;
            if (LEVEL(any_reaches)(LEVEL(magnitude)(code - codes[r][v]) + guess.wrong, certain))
                codes[r][v] = LEVEL(settled)(s, tile, r, part, column, sum[r][v], z[r][v], guess.added, guess.wrong, wider);
        }
    }
}

/* The variances of a tile's products in floats, digit by digit: each is off by less than 5 * 2^-24 of it. */
INLINE TARGET void LEVEL(variances)(Floats variance[ROWS][VECTORS], const Step *s, const Tile *tile, const Part *part,
                                    int block, const int vectors) {
    const Noise *noise = part->noise;
    const int64_t size = (int64_t)part->pairs * BLOCK * 2, blocks = (s->columns + BLOCK - 1) / BLOCK;
    float unit = 1;
    for (int d = 0; d < noise->count; d++, unit *= (float)(1 << noise->bits)) {
        Ints sum[ROWS][VECTORS];
        LEVEL(dots)(sum, tile, part, noise->digits + (d * blocks + block) * size, (int64_t)s->room * 2, vectors, ROWS);
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < vectors; v++) {
                const Floats digit = __builtin_convertvector((Words)sum[r][v], Floats);
                variance[r][v] = d ? LEVEL(fused)(digit, LEVEL(all)(unit), variance[r][v]) : digit;
            }
    }
}

/* The codes of sums with fresh noise that are codes themselves: floats tell which whole number the noise is, but where it
 * is too close to the middle between two. The root is an estimate, improved once; it and two products round. */
INLINE TARGET void LEVEL(whole_codes)(Floats codes[ROWS][VECTORS], const Step *s, const Tile *tile, const Part *part,
                                      int block, const Batch *b, const int vectors) {
    const Floats magic = LEVEL(all)(0x1.8p23), scale = LEVEL(all)(part->noise->scale), certain = LEVEL(all)(0.5 - 0x1p-22);
    const Floats inaccuracy = LEVEL(all)(0x1p-21 + ROOT_ERROR * ROOT_ERROR);
    const int64_t size = (int64_t)part->pairs * BLOCK * 2;
    Ints sum[ROWS][VECTORS], z[ROWS][VECTORS];
    Floats variance[ROWS][VECTORS];
    LEVEL(dots)(sum, tile, part, part->weights + block * size, 0, vectors, ROWS);
    LEVEL(variances)(variance, s, tile, part, block, vectors);
    LEVEL(draw)(z, part->noise, tile->draws + (part - s->parts), tile, b, vectors);
    for (int v = 0; v < vectors; v++)
        for (int r = 0; r < tile->rows; r++) {
            const Floats inverse = LEVEL(inverse_root)(variance[r][v]), near = inverse * variance[r][v];
            const Floats root = LEVEL(fused)(LEVEL(fused)(-near, near, variance[r][v]), inverse * 0.5f, near);
            const Floats added = root * (__builtin_convertvector(z[r][v], Floats) * scale), whole = added + magic - magic;
            codes[r][v] = __builtin_convertvector(sum[r][v], Floats) + whole;
            const Floats size = LEVEL(magnitude)(added), beside = LEVEL(magnitude)(added - whole);
            if (LEVEL(any_reaches)(LEVEL(fused)(size, inaccuracy, beside), certain)) {
                const int column = block * BLOCK + v * LANES;
                const Ints disturbed = LEVEL(disturbed)(s, tile, r, part, column, sum[r][v], z[r][v]);
                codes[r][v] = __builtin_convertvector(disturbed, Floats);
            }
        }
}

/* The largest whole doubles up to a, for magnitudes below 2^51. */
INLINE TARGET Doubles LEVEL(whole)(Doubles a) {
    Doubles whole = LEVEL(round)(a);
    for (int i = 0; i < LANES / 2; i++) whole[i] -= whole[i] > a[i];
    return whole;
}

/* The same for any sum in 32 bits, as doubles: the product has at most 47 digits. */
INLINE TARGET Doubles LEVEL(wide_codes)(Doubles sum, const Part *part, const int wider) {
    Doubles code = LEVEL(clip)(sum * part->factor, part->low - wider, part->high + wider);
    return part->floor ? LEVEL(whole)(code) : LEVEL(round)(code);
}

/* The codes that imperfect ADCs give for sums, operation by operation as NoisyConverter.rounded; z draws the outputs'
 * noise. Every product is a whole number below 2^53. */
INLINE TARGET Doubles LEVEL(imperfect)(Doubles sum, const Part *part, int column, Doubles z, const int wider) {
    const Converter *adc = part->converter;
    const double square = adc->high * adc->high;
    Doubles product = sum * LEVEL(doubles)(adc->multipliers + column);
    Doubles error = LEVEL(doubles)(adc->offsets + column);
    if (adc->noise) error += LEVEL(whole)(z * adc->output + 0.5);
    const Doubles code = LEVEL(clip)(LEVEL(round)(product * adc->unit), -adc->high, adc->high);
    error += LEVEL(whole)(LEVEL(doubles)(adc->bows + column) * (square - code * code) / square);
    error = LEVEL(clip)(error, -adc->largest, adc->largest);
    product = (product + LEVEL(whole)(error * adc->error_unit + 0.5)) * adc->unit;
    product = part->floor ? LEVEL(whole)(product) : LEVEL(round)(product);
    return LEVEL(clip)(product, part->low - wider, part->high + wider);
}

/* Count the codes of an image that an ADC does not have: some of these do not. */
APART TARGET void LEVEL(count)(int64_t clips[2], Floats codes, const Part *part) {
    for (int i = 0; i < LANES; i++) clips[0] += codes[i] < part->low, clips[1] += codes[i] > part->high;
}
APART TARGET void LEVEL(wide_count)(int64_t clips[2], Doubles codes, const Part *part) {
    for (int i = 0; i < LANES / 2; i++) clips[0] += codes[i] < part->low, clips[1] += codes[i] > part->high;
}

/* Clip codes of row r of a tile that are one wider than the ADC's, and count those that are clipped; NULL: none. */
INLINE TARGET Floats LEVEL(counted)(Floats codes, const Part *part, int64_t *clips) {
    const Floats clipped = LEVEL(least)(LEVEL(most)(codes, LEVEL(all)(part->low)), LEVEL(all)(part->high));
    if (clips && LEVEL(any)((Ints)(codes != clipped))) LEVEL(count)(clips, codes, part);
    return clipped;
}
INLINE TARGET Doubles LEVEL(wide_counted)(Doubles codes, const Part *part, int64_t *clips) {
    const Doubles clipped = LEVEL(clip)(codes, part->low, part->high);
    if (clips && LEVEL(any)((Ints)(codes != clipped))) LEVEL(wide_count)(clips, codes, part);
    return clipped;
}
INLINE int64_t *LEVEL(clips)(const Tile *tile, int r, const Batch *b) {
    return r < tile->rows ? b->tally->clips[tile->image[r]] : NULL;
}

/* What becomes of a step's results, read before any is stored: bytes stored might be those of the step. */
typedef struct {
    Floats low, high;
    double wide_low, wide_high;
    int columns, type, size;
} LEVEL(Ending);
#define Ending LEVEL(Ending)

INLINE TARGET Ending LEVEL(ending)(const Step *s) {
    return (Ending){LEVEL(all)(s->low), LEVEL(all)(s->high), s->low, s->high, s->columns, s->out_type, bytes_of(s->out_type)};
}

/* Store results held as whole floats within the limits plus 1.5 * 2^23: the float's own bits hold the integer. */
INLINE TARGET void LEVEL(put_whole)(const Ending *end, uint8_t *out, int column, Floats shifted) {
    const int count = end->columns - column;
    LEVEL(store)(out + column * end->size, end->type, (Ints)shifted - (Ints)LEVEL(all)(0x1.8p23),
                 count < LANES ? count : LANES);
}

/* Clip, round and store results held as floats below 2^22. */
INLINE TARGET void LEVEL(put)(const Ending *end, uint8_t *out, int column, Floats result) {
    result = LEVEL(least)(LEVEL(most)(result, end->low), end->high);
    LEVEL(put_whole)(end, out, column, result + LEVEL(all)(0x1.8p23));
}

INLINE TARGET void LEVEL(put_wide)(const Ending *end, uint8_t *out, int column, Doubles low, Doubles high) {
    const int count = end->columns - column;
    low = LEVEL(clip)(low, end->wide_low, end->wide_high), high = LEVEL(clip)(high, end->wide_low, end->wide_high);
    LEVEL(store)(out + column * end->size, end->type, LEVEL(rounded)(low, high), count < LANES ? count : LANES);
}

/* Magnitudes of codes, for an observer: those of the columns behind the last are of sums of zeros. */
INLINE TARGET Ints LEVEL(magnitudes)(Floats codes) {
    const Ints whole = __builtin_convertvector(codes, Ints), negative = whole >> 31;
    return (whole ^ negative) - negative;
}
INLINE TARGET Doubles LEVEL(wide_magnitudes)(Doubles low, Doubles high) {
    const Doubles zero = {0};
    const Ints signs = (Ints)-zero;
    return (Doubles)((Ints)low & ~signs) + (Doubles)((Ints)high & ~signs);
}
INLINE TARGET int64_t LEVEL(lanes_sum)(Ints values) {
    int64_t total = 0;
    for (int i = 0; i < LANES; i++) total += values[i];
    return total;
}

/* Sum what the elements of a rectangle are, for an observer; those below 0 apart behind the others. */
TARGET static void LEVEL(tally)(const Tally *tally, int sign, const int16_t *restrict x, const int16_t *end) {
    int32_t *restrict driven = tally->driven + sign * tally->period, *restrict pulse = tally->pulse + sign * tally->period;
    for (; x < end; x += tally->period)
        for (int64_t n = 0; n < tally->period; n++) {
            driven[n] += x[n] != 0;
            pulse[n] += x[n] < 0 ? -x[n] : x[n];
        }
}

/* The codes of part `t` of a PRODUCT as floats, for the first `rows` of a tile. */
INLINE TARGET void LEVEL(part_codes)(Floats codes[ROWS][VECTORS], const Step *s, const Tile *tile, int t, int block,
                                     const Batch *b, const int vectors, const int rows, const enum Told told,
                                     const int noisy, const int estimated) {
    const Part *part = s->parts + t;
    const int wider = told == CLIPS, made = noisy ? tile->rows : rows, whole = estimated && !noisy && part->whole;
    Ints sum[ROWS][VECTORS], magnitudes = {0};
    if (noisy && estimated) LEVEL(whole_codes)(codes, s, tile, part, block, b, vectors);
    else if (noisy) LEVEL(noisy_codes)(codes, s, tile, part, block, b, vectors, rows, wider);
    else LEVEL(sums)(sum, tile, s, t, block, vectors, rows);
    for (int v = 0; v < vectors; v++)
        for (int r = 0; r < made; r++) {
            if (whole) codes[r][v] = __builtin_convertvector(sum[r][v], Floats);
            else if (!noisy) codes[r][v] = LEVEL(codes)(sum[r][v], part, wider);
            if (told == CLIPS) codes[r][v] = LEVEL(counted)(codes[r][v], part, LEVEL(clips)(tile, r, b));
            if (told == SUMS && r < tile->rows) magnitudes += LEVEL(magnitudes)(codes[r][v]);
        }
    if (told == SUMS) b->tally->codes[t] += LEVEL(lanes_sum)(magnitudes);
}

/* The codes of a part's sums from column `column` on as doubles; they still come from floats where the sums allow it. */
INLINE TARGET void LEVEL(double_codes)(Doubles codes[2], const Part *part, Ints sum, Ints z, int column, const int wider) {
    const Doubles low = LEVEL(low_wide)(sum), high = LEVEL(high_wide)(sum);
    if (part->whole) {
        codes[0] = low, codes[1] = high;
    } else if (part->converter) {
        codes[0] = LEVEL(imperfect)(low, part, column, LEVEL(low_wide)(z), wider);
        codes[1] = LEVEL(imperfect)(high, part, column + LANES / 2, LEVEL(high_wide)(z), wider);
    } else if (FLOAT_IS_EXACT && part->narrow_sums) {
        const Floats narrow = LEVEL(codes)(sum, part, wider);
        codes[0] = LEVEL(low_doubles)(narrow), codes[1] = LEVEL(high_doubles)(narrow);
    } else {
        codes[0] = LEVEL(wide_codes)(low, part, wider), codes[1] = LEVEL(wide_codes)(high, part, wider);
    }
}

/* The same product in doubles; of one part, its totals are results as they are made. */
INLINE TARGET void LEVEL(wide_product)(const Step *s, const Tile *tile, int block, const Batch *b, const int vectors,
                                       const int rows, const enum Told told, const int noisy) {
    const int column = block * BLOCK, half = LANES / 2;
    const Ending end = LEVEL(ending)(s);
    Doubles total[ROWS][VECTORS][2];
    for (int t = 0; t < s->count; t++) {
        const Part *part = s->parts + t;
        const int is_last = t + 1 == s->count;
        Ints sum[ROWS][VECTORS];
        LEVEL(sums)(sum, tile, s, t, block, vectors, rows);
        if (noisy && part->noise) LEVEL(disturb_tile)(sum, s, tile, part, block, b, vectors);
        Doubles magnitudes = {0};
        Ints z[ROWS][VECTORS];
        if (part->converter) {
            memset(z, 0, sizeof z);
            if (part->converter->noise) {
                const Draws draws = LEVEL(begun)(part->converter->noise, s, block, vectors);
                LEVEL(draw)(z, part->converter->noise, &draws, tile, b, vectors);
            }
        }
        for (int v = 0; v < vectors; v++) {
            const int at = column + v * LANES;
            const double *multipliers = part->multipliers + at, *offsets = s->offsets + at;
            for (int r = 0; r < rows; r++) {
                Doubles codes[2];
                LEVEL(double_codes)(codes, part, sum[r][v], z[r][v], at, told == CLIPS);
                if (told == CLIPS)
                    for (int i = 0; i < 2; i++) codes[i] = LEVEL(wide_counted)(codes[i], part, LEVEL(clips)(tile, r, b));
                if (told == SUMS && r < tile->rows) magnitudes += LEVEL(wide_magnitudes)(codes[0], codes[1]);
                for (int i = 0; i < 2; i++) {
                    codes[i] *= LEVEL(doubles)(multipliers + i * half);
                    if (t) codes[i] += total[r][v][i];
                    if (!is_last) total[r][v][i] = codes[i];
                    else codes[i] += LEVEL(doubles)(offsets + i * half);
                }
                if (is_last && r < tile->rows && at < end.columns)
                    LEVEL(put_wide)(&end, tile->out[r], at, codes[0], codes[1]);
            }
        }
        for (int i = 0; told == SUMS && i < half; i++) b->tally->codes[t] += (int64_t)magnitudes[i];
    }
}

/* A row of a tile of a PRODUCT in doubles, apart: inlined beside tiles of ROWS rows, it makes them slower by 2 to 3 %. */
APART TARGET void LEVEL(wide_row)(const Step *s, const Tile *row, int block, const Batch *b, int full) {
    if (full) LEVEL(wide_product)(s, row, block, b, VECTORS, 1, NOTHING, 0);
    else LEVEL(wide_product)(s, row, block, b, VECTORS / 2, 1, NOTHING, 0);
}

/* Make the results of row r of a tile again. */
APART TARGET void LEVEL(make_again)(const Step *s, const Tile *tile, int r, int block, const Batch *b, int full) {
    const Tile row = {.place = {tile->place[r]}, .out = {tile->out[r]}, .rows = 1, .made = tile->made, .row = tile->row + r};
    LEVEL(wide_row)(s, &row, block, b, full);
}

/* Whether floats estimate the results of a product of one part: then B is added as its codes are multiplied. */
INLINE int LEVEL(is_lone)(const Step *s, const int estimated) { return estimated && s->count == 1; }

/* End a tile of a PRODUCT in floats: `vectors` vectors of columns from those of block `block` on. Where floats estimate
 * the results, a row with one too close to the middle between two is made again. Rows that repeat the last store the same
 * again; with fresh noise they have no results. */
INLINE TARGET void LEVEL(end)(const Step *s, const Tile *tile, int block, const Batch *b, Floats total[ROWS][VECTORS],
                              const int vectors, const int rows, const int noisy, const int estimated) {
    const Ending end = LEVEL(ending)(s);
    const Floats magic = LEVEL(all)(0x1.8p23), certain = LEVEL(all)(s->certain);
    Floats farthest = {0};
    for (int v = 0; v < vectors; v++) {
        const int at = block * BLOCK + v * LANES;
        if (at >= end.columns) break;
        const Floats offsets = LEVEL(is_lone)(s, estimated) ? (Floats){0} : LEVEL(floats)(s->narrow_offsets + at);
        for (int r = 0; r < (noisy ? tile->rows : rows); r++) {
            const Floats result = total[r][v] + offsets;
            const Floats clipped = LEVEL(least)(LEVEL(most)(result, end.low), end.high), shifted = clipped + magic;
            LEVEL(put_whole)(&end, tile->out[r], at, shifted);
            if (!estimated) continue;
            total[r][v] = LEVEL(magnitude)(clipped - (shifted - magic));
            farthest = LEVEL(most)(farthest, total[r][v]);
        }
    }
    if (!estimated || !LEVEL(any_reaches)(farthest, certain)) return;
    for (int r = 0; r < tile->rows; r++) {
        Floats off = total[r][0];
        for (int v = 1; v < vectors; v++) off = LEVEL(most)(off, total[r][v]);
        if (LEVEL(any_reaches)(off, certain)) LEVEL(make_again)(s, tile, r, block, b, vectors == VECTORS);
    }
}

/* The first `rows` of a tile of a PRODUCT in floats, from block `block` on; of one part, totals never leave registers. */
INLINE TARGET void LEVEL(product)(const Step *s, const Tile *tile, int block, const Batch *b, const int vectors,
                                  const int rows, const enum Told told, const int noisy, const int estimated) {
    const int column = block * BLOCK;
    Floats codes[ROWS][VECTORS], total[ROWS][VECTORS];
    for (int t = 0; t < s->count; t++) {
        LEVEL(part_codes)(codes, s, tile, t, block, b, vectors, rows, told, noisy, estimated);
        for (int v = 0; v < vectors; v++) {
            const Floats multipliers = LEVEL(floats)(s->parts[t].narrow + column + v * LANES);
            for (int r = 0; r < rows; r++)
                if (LEVEL(is_lone)(s, estimated))
                    total[r][v] = LEVEL(fused)(codes[r][v], multipliers, LEVEL(floats)(s->narrow_offsets + column + v * LANES));
                else total[r][v] = t ? LEVEL(fused)(codes[r][v], multipliers, total[r][v]) : codes[r][v] * multipliers;
        }
        if (s->count == 1) {
            LEVEL(end)(s, tile, block, b, total, vectors, rows, noisy, estimated);
            return;
        }
    }
    LEVEL(end)(s, tile, block, b, total, vectors, rows, noisy, estimated);
}

/* Results of LANES columns of sums that are codes themselves, of one part, in doubles. */
INLINE TARGET Ints LEVEL(wide_results)(const Step *s, int column, Ints code) {
    const double *multipliers = s->parts->multipliers + column, *offsets = s->offsets + column;
    const int half = LANES / 2;
    const Doubles low = LEVEL(low_wide)(code) * LEVEL(doubles)(multipliers) + LEVEL(doubles)(offsets);
    const Doubles high = LEVEL(high_wide)(code) * LEVEL(doubles)(multipliers + half) + LEVEL(doubles)(offsets + half);
    return LEVEL(rounded)(LEVEL(clip)(low, s->low, s->high), LEVEL(clip)(high, s->low, s->high));
}

/* Make the results of row r of a tile and LANES columns again, as `settled` does codes: of one part, whose sums are codes
 * themselves. */
APART TARGET void LEVEL(settle)(const Step *s, const Tile *tile, int r, int column, Ints sum, Ints z, Guess guess) {
    const int left = s->columns - column, count = left < LANES ? left : LANES;
    uint8_t *out = tile->out[r] + column * bytes_of(s->out_type);
    Ints noise[2];
    if (LEVEL(between)(noise, guess.added, guess.wrong)) {
        const Ints results = LEVEL(wide_results)(s, column, sum + noise[0]);
        if (!LEVEL(any)(results != LEVEL(wide_results)(s, column, sum + noise[1]))) {
            LEVEL(store)(out, s->out_type, results, count);
            return;
        }
    }
    sum = LEVEL(disturbed)(s, tile, r, s->parts, column, sum, z);
    LEVEL(store)(out, s->out_type, LEVEL(wide_results)(s, column, sum), count);
}

/* A tile of a PRODUCT of one part whose sums with fresh noise are codes themselves: floats estimate the results, and those
 * too close to the middle between two are made again. */
INLINE TARGET void LEVEL(noisy_results)(const Step *s, const Tile *tile, int block, const Batch *b, const int vectors) {
    const Part *part = s->parts;
    const Noise *noise = part->noise;
    const Ending end = LEVEL(ending)(s);
    const Floats magic = LEVEL(all)(0x1.8p23), certain = LEVEL(all)(s->certain);
    const Floats inaccuracy = LEVEL(all)(noise->error + ROOT_ERROR);
    Ints sum[ROWS][VECTORS], z[ROWS][VECTORS], variance[ROWS][VECTORS];
    LEVEL(noisy_sums)(sum, z, variance, s, tile, part, block, b, vectors, ROWS);
    for (int v = 0; v < vectors; v++) {
        const int column = block * BLOCK + v * LANES;
        if (column >= end.columns) break;
        const Floats multipliers = LEVEL(floats)(part->narrow + column), slopes = LEVEL(magnitude)(multipliers);
        const Floats offsets = LEVEL(floats)(s->narrow_offsets + column), spreads = LEVEL(floats)(noise->spreads + column);
        const Floats off = LEVEL(floats)(noise->shares + column) * LEVEL(block_most)(variance, v, vectors, ROWS);
        for (int r = 0; r < tile->rows; r++) {
            const Guess guess = LEVEL(guess)(variance[r][v], z[r][v], spreads, inaccuracy, off);
            const Floats code = __builtin_convertvector(sum[r][v], Floats) + guess.added;
            Floats result = LEVEL(fused)(code, multipliers, offsets);
            result = LEVEL(least)(LEVEL(most)(result, end.low), end.high);
            const Floats shifted = result + magic;
            LEVEL(put_whole)(&end, tile->out[r], column, shifted);
            const Floats beside = LEVEL(magnitude)(result - (shifted - magic));
            if (LEVEL(any_reaches)(LEVEL(fused)(guess.wrong, slopes, beside), certain))
                LEVEL(settle)(s, tile, r, column, sum[r][v], z[r][v], guess);
        }
    }
}

INLINE TARGET void LEVEL(tile_product)(const Step *s, const Tile *tile, int block, const Batch *b, const int vectors,
                                       const int rows, const enum Told told, const int noisy) {
    if (FLOAT_IS_EXACT && s->certain == 1) LEVEL(product)(s, tile, block, b, vectors, rows, told, noisy, 0);
    else LEVEL(wide_product)(s, tile, block, b, vectors, rows, told, noisy);
}

/* A tile of any rows whose sums have fresh noise. */
APART TARGET void LEVEL(noisy_product)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (full) LEVEL(tile_product)(s, tile, block, b, VECTORS, ROWS, NOTHING, 1);
    else LEVEL(tile_product)(s, tile, block, b, VECTORS / 2, ROWS, NOTHING, 1);
}

/* End a tile of a PRODUCT whose results are `whole` numbers and what lies `beside` them, summed apart. */
INLINE TARGET void LEVEL(end_split)(const Step *s, const Tile *tile, int block, const Batch *b, Floats whole[ROWS][VECTORS],
                                    Floats beside[ROWS][VECTORS], const int vectors, const int noisy) {
    const Ending end = LEVEL(ending)(s);
    Floats farthest = {0};
    for (int v = 0; v < vectors; v++) {
        const int at = block * BLOCK + v * LANES;
        if (at >= end.columns) break;
        const Floats offsets = LEVEL(floats)(s->narrow_offsets + at), rests = LEVEL(floats)(s->rests + at);
        for (int r = 0; r < (noisy ? tile->rows : ROWS); r++) {
            const Floats rest = beside[r][v] + rests, nearest = LEVEL(nearest)(rest);
            LEVEL(put)(&end, tile->out[r], at, whole[r][v] + offsets + nearest);
            farthest = LEVEL(most)(farthest, LEVEL(magnitude)(rest - nearest));
        }
    }
    if (!LEVEL(any_reaches)(farthest, LEVEL(all)(s->certain))) return;
    if (noisy) LEVEL(noisy_product)(s, tile, block, b, vectors == VECTORS);
    for (int r = 0; !noisy && r < tile->rows; r++) LEVEL(make_again)(s, tile, r, block, b, vectors == VECTORS);
}

/* A tile of a PRODUCT from block `block` on. Of each term of its results the nearest whole number, which floats sum
 * without an error, is apart from the rest: that is as small as its errors are. */
INLINE TARGET void LEVEL(split_product)(const Step *s, const Tile *tile, int block, const Batch *b, const int vectors,
                                        const int noisy) {
    Floats codes[ROWS][VECTORS], whole[ROWS][VECTORS], beside[ROWS][VECTORS];
    for (int t = 0; t < s->count; t++) {
        const Part *part = s->parts + t;
        LEVEL(part_codes)(codes, s, tile, t, block, b, vectors, ROWS, NOTHING, noisy, 1);
        for (int v = 0; v < vectors; v++) {
            const int at = block * BLOCK + v * LANES;
            const Floats multipliers = LEVEL(floats)(part->narrow + at), rests = LEVEL(floats)(part->rests + at);
            for (int r = 0; r < ROWS; r++) {
                const Floats code = codes[r][v], term = LEVEL(nearest)(code * multipliers);
                const Floats rest = LEVEL(fused)(code, rests, LEVEL(fused)(code, multipliers, -term));
                whole[r][v] = t ? whole[r][v] + term : term;
                beside[r][v] = t ? beside[r][v] + rest : rest;
            }
        }
    }
    LEVEL(end_split)(s, tile, block, b, whole, beside, vectors, noisy);
}

/* A tile of one row, apart as well. */
APART TARGET void LEVEL(row_product)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (!FLOAT_IS_EXACT || s->certain != 1) LEVEL(wide_row)(s, tile, block, b, full);
    else if (full) LEVEL(product)(s, tile, block, b, VECTORS, 1, NOTHING, 0, 0);
    else LEVEL(product)(s, tile, block, b, VECTORS / 2, 1, NOTHING, 0, 0);
}

/* A tile of any rows whose results floats estimate. */
APART TARGET void LEVEL(estimated_product)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (full) LEVEL(product)(s, tile, block, b, VECTORS, ROWS, NOTHING, 0, 1);
    else LEVEL(product)(s, tile, block, b, VECTORS / 2, ROWS, NOTHING, 0, 1);
}

/* A tile of any rows whose results are split, and the same where sums have fresh noise. */
APART TARGET void LEVEL(split_tile)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (full) LEVEL(split_product)(s, tile, block, b, VECTORS, 0);
    else LEVEL(split_product)(s, tile, block, b, VECTORS / 2, 0);
}
APART TARGET void LEVEL(split_noisy_tile)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (full) LEVEL(split_product)(s, tile, block, b, VECTORS, 1);
    else LEVEL(split_product)(s, tile, block, b, VECTORS / 2, 1);
}

/* A tile of one part whose sums have fresh noise and whose results floats estimate. */
APART TARGET void LEVEL(estimated_noisy_product)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (full) LEVEL(noisy_results)(s, tile, block, b, VECTORS);
    else LEVEL(noisy_results)(s, tile, block, b, VECTORS / 2);
}

/* A tile of any rows whose codes are summed for an observer. */
APART TARGET void LEVEL(tallied_product)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (full) LEVEL(tile_product)(s, tile, block, b, VECTORS, ROWS, SUMS, 0);
    else LEVEL(tile_product)(s, tile, block, b, VECTORS / 2, ROWS, SUMS, 0);
}

/* A tile of any rows whose clips are counted for an observer, and the same where sums have fresh noise. */
APART TARGET void LEVEL(counted_product)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (full) LEVEL(tile_product)(s, tile, block, b, VECTORS, ROWS, CLIPS, 0);
    else LEVEL(tile_product)(s, tile, block, b, VECTORS / 2, ROWS, CLIPS, 0);
}
APART TARGET void LEVEL(counted_noisy_product)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (full) LEVEL(tile_product)(s, tile, block, b, VECTORS, ROWS, CLIPS, 1);
    else LEVEL(tile_product)(s, tile, block, b, VECTORS / 2, ROWS, CLIPS, 1);
}

/* A tile of any rows without noise, of which nothing is told. */
INLINE TARGET void LEVEL(plain_product)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (full) LEVEL(tile_product)(s, tile, block, b, VECTORS, ROWS, NOTHING, 0);
    else LEVEL(tile_product)(s, tile, block, b, VECTORS / 2, ROWS, NOTHING, 0);
}

/* Make the results of a tile from block `block` on; `full`: more columns are left than half of its vectors hold. */
INLINE TARGET void LEVEL(dispatch)(const Step *s, const Tile *tile, int block, const Batch *b, int full) {
    if (b->tally && b->tally->clips && s->squares) LEVEL(counted_noisy_product)(s, tile, block, b, full);
    else if (b->tally && b->tally->clips) LEVEL(counted_product)(s, tile, block, b, full);
    else if (FLOAT_IS_EXACT && s->squares && s->split) LEVEL(split_noisy_tile)(s, tile, block, b, full);
    else if (FLOAT_IS_EXACT && s->squares && is_estimated(s)) LEVEL(estimated_noisy_product)(s, tile, block, b, full);
    else if (s->squares) LEVEL(noisy_product)(s, tile, block, b, full);
    else if (b->tally) LEVEL(tallied_product)(s, tile, block, b, full);
    else if (tile->rows == 1) LEVEL(row_product)(s, tile, block, b, full);
    else if (FLOAT_IS_EXACT && s->split) LEVEL(split_tile)(s, tile, block, b, full);
    else if (FLOAT_IS_EXACT && is_estimated(s)) LEVEL(estimated_product)(s, tile, block, b, full);
    else LEVEL(plain_product)(s, tile, block, b, full);
}

/* Where half of the vectors of a tile hold the columns left, they are all that is summed. With fresh noise `draws` has
 * room for those of each part. */
TARGET static void LEVEL(products)(const Step *s, const Batch *b, int64_t first, int64_t images, int64_t image_bytes,
                                   Draws *draws) {
    const int blocks = (s->columns + BLOCK - 1) / BLOCK, step = VECTORS * LANES / BLOCK;
    for (int block = 0; block < blocks; block += step) {
        const int full = s->columns - block * BLOCK > VECTORS * LANES / 2;
        for (int t = 0; draws && t < s->count; t++)
            draws[t] = LEVEL(begun)(s->parts[t].noise, s, block, full ? VECTORS : VECTORS / 2);
        Walk walk = LEVEL(walk)(s, b, first, image_bytes, 2);
        for (int64_t left = images * s->vectors; left > 0; left -= ROWS) {
            Tile tile; /* `next` fills in the rest: clearing it first takes as long as a few columns */
            tile.made = NULL, tile.draws = draws;
            LEVEL(next)(&tile, &walk, s, b, left);
            LEVEL(dispatch)(s, &tile, block, b, full);
        }
    }
}

/* The same with fresh noise, apart: room whose size is not known takes a register of the others. */
APART TARGET void LEVEL(noisy_products)(const Step *s, const Batch *b, int64_t first, int64_t images, int64_t image_bytes) {
    Draws draws[s->count];
    LEVEL(products)(s, b, first, images, image_bytes, draws);
}

/* Elements of a type that lie one behind the other; what those behind the first `count` are means nothing. */
INLINE TARGET Floats LEVEL(taken)(const uint8_t *at, int type, int count) {
    if (type == REAL) return LEVEL(floats)((const float *)at);
    return __builtin_convertvector(LEVEL(load)(at, type, count), Floats);
}

/* Maxima over taps, each channel on its own, of a tile and LANES channels; elements are of a type. */
INLINE TARGET void LEVEL(maxima)(const Step *s, const Tile *tile, int channel, const int type) {
    const Ending end = LEVEL(ending)(s);
    const int size = bytes_of(type), left = end.columns - channel, count = left < LANES ? left : LANES;
    for (int r = 0; r < tile->rows; r++) {
        const uint8_t *x = tile->place[r] + (int64_t)channel * size;
        Floats most = LEVEL(taken)(x + (int64_t)s->taps[0] * size, type, count);
        for (int tap = 1; tap < s->count; tap++)
            most = LEVEL(most)(most, LEVEL(taken)(x + (int64_t)s->taps[tap] * size, type, count));
        LEVEL(put)(&end, tile->out[r], channel, most);
    }
}

/* Weighted sums over taps of a row in doubles, with their epilogue. */
APART TARGET void LEVEL(wide_weighted)(const Step *s, const uint8_t *place, uint8_t *out, int channel, int type) {
    const Ending end = LEVEL(ending)(s);
    const int padded = (end.columns + BLOCK - 1) / BLOCK * BLOCK, half = LANES / 2, size = bytes_of(type);
    const int left = end.columns - channel, count = left < LANES ? left : LANES;
    const double *multipliers = s->multipliers + channel, *offsets = s->offsets + channel;
    Doubles low = {0}, high = {0};
    for (int tap = 0; tap < s->count; tap++) {
        const Floats x = LEVEL(taken)(place + ((int64_t)s->taps[tap] + channel) * size, type, count);
        const Floats weights = LEVEL(floats)(s->weights + (int64_t)tap * padded + channel);
        low += LEVEL(low_doubles)(x) * LEVEL(low_doubles)(weights);
        high += LEVEL(high_doubles)(x) * LEVEL(high_doubles)(weights);
    }
    LEVEL(put_wide)(&end, out, channel, low * LEVEL(doubles)(multipliers) + LEVEL(doubles)(offsets),
                    high * LEVEL(doubles)(multipliers + half) + LEVEL(doubles)(offsets + half));
}

INLINE TARGET void LEVEL(tile_wide_weighted)(const Step *s, const Tile *tile, int channel, int type) {
    for (int r = 0; r < tile->rows; r++) LEVEL(wide_weighted)(s, tile->place[r], tile->out[r], channel, type);
}

/* The same of a tile in floats: where they hold everything, or estimate the results. A vector with a result too close to
 * the middle between two is made again. */
INLINE TARGET void LEVEL(weighted)(const Step *s, const Tile *tile, int channel, const int rows, const int type) {
    const int padded = (s->columns + BLOCK - 1) / BLOCK * BLOCK, size = bytes_of(type);
    const int left = s->columns - channel, count = left < LANES ? left : LANES;
    const Ending end = LEVEL(ending)(s);
    const Floats magic = LEVEL(all)(0x1.8p23), certain = LEVEL(all)(s->certain);
    const Floats multipliers = LEVEL(floats)(s->narrow_multipliers + channel);
    const Floats offsets = LEVEL(floats)(s->narrow_offsets + channel);
    Floats total[ROWS];
    for (int r = 0; r < rows; r++) total[r] = (Floats){0};
    for (int tap = 0; tap < s->count; tap++) {
        const int64_t offset = ((int64_t)s->taps[tap] + channel) * size;
        const Floats weights = LEVEL(floats)(s->weights + (int64_t)tap * padded + channel);
        for (int r = 0; r < rows; r++)
            total[r] = LEVEL(fused)(LEVEL(taken)(tile->place[r] + offset, type, count), weights, total[r]);
    }
    Floats shifted[ROWS], farthest = {0}, off[ROWS];
    for (int r = 0; r < rows; r++) {
        Floats result = LEVEL(fused)(total[r], multipliers, offsets);
        result = LEVEL(least)(LEVEL(most)(result, end.low), end.high);
        shifted[r] = result + magic;
        off[r] = LEVEL(magnitude)(result - (shifted[r] - magic));
        farthest = LEVEL(most)(farthest, off[r]);
    }
    for (int r = 0; r < rows; r++) LEVEL(put_whole)(&end, tile->out[r], channel, shifted[r]);
    if (!LEVEL(any_reaches)(farthest, certain)) return;
    for (int r = 0; r < rows; r++)
        if (LEVEL(any_reaches)(off[r], certain)) LEVEL(wide_weighted)(s, tile->place[r], tile->out[r], channel, type);
}

/* The next `count` vectors of a SUM or MAXIMUM over elements of a type. */
INLINE TARGET void LEVEL(tapped)(const Step *s, const Batch *b, Walk walk, int64_t count, const int type) {
    for (int64_t left = count; left > 0; left -= ROWS) {
        Tile tile;
        LEVEL(next)(&tile, &walk, s, b, left);
        for (int channel = 0; channel < s->columns; channel += LANES)
            if (s->kind == MAXIMUM) LEVEL(maxima)(s, &tile, channel, type);
            else if (s->certain == 0) LEVEL(tile_wide_weighted)(s, &tile, channel, type);
            else if (tile.rows == 1) LEVEL(weighted)(s, &tile, channel, 1, type);
            else LEVEL(weighted)(s, &tile, channel, ROWS, type);
    }
}
TARGET static void LEVEL(taps)(const Step *s, const Batch *b, int64_t first, int64_t images, int64_t image_bytes) {
    LEVEL(tapped)(s, b, LEVEL(walk)(s, b, first, image_bytes, 4), images * s->vectors, REAL);
}
/* The same of all images, elements read where they lie. */
TARGET static void LEVEL(direct_taps)(const Step *s, const Batch *b) {
    const Source *source = s->source;
    Walk walk = LEVEL(walk)(s, b, 0, b->pitch, bytes_of(source->type));
    walk.rectangle = b->memory + source->base;
    LEVEL(tapped)(s, b, walk, b->images * s->vectors, source->type);
}

/* Spread a row of elements into the rectangle; return whether any lies outside the source's limits. */
#define SPREAD(from, to, lowest, highest)                                                                         \
    INLINE TARGET int LEVEL(line_##from##_##to)(const Source *source, const uint8_t *in, to##_t *restrict out,    \
                                                int64_t count, const int64_t pitch, const int checked) {          \
        from##_t least, most;                                                                                     \
        memcpy(&least, in, sizeof least), most = least;                                                           \
        for (int64_t i = 0; i < count; i++) {                                                                     \
            from##_t x;                                                                                           \
            memcpy(&x, in + i * pitch, sizeof x);                                                                 \
            if (checked) least = x < least ? x : least, most = x > most ? x : most;                               \
            out[i] = (to##_t)x;                                                                                   \
        }                                                                                                         \
        return checked && (least < source->low || most > source->high);                                           \
    }                                                                                                             \
    INLINE TARGET int LEVEL(spread_##from##_##to)(const Source *source, const uint8_t *in, to##_t *out, int64_t count) { \
        const int64_t pitch = source->pitch[2], dense = sizeof(from##_t);                                         \
        if (!count) return 0;                                                                                     \
        if (pitch != dense) return LEVEL(line_##from##_##to)(source, in, out, count, pitch, 1);                   \
        return source->low <= lowest && source->high >= highest                                                   \
                   ? LEVEL(line_##from##_##to)(source, in, out, count, dense, 0)                                  \
                   : LEVEL(line_##from##_##to)(source, in, out, count, dense, 1);                                 \
    }
#if BYTES
SPREAD(int8, int8, INT8_MIN, INT8_MAX)
SPREAD(uint8, uint8, 0, UINT8_MAX)
#endif
SPREAD(int8, int16, INT8_MIN, INT8_MAX)
SPREAD(uint8, int16, 0, UINT8_MAX)
SPREAD(int16, int16, INT16_MIN, INT16_MAX)
SPREAD(int8, real32, INT8_MIN, INT8_MAX)
SPREAD(uint8, real32, 0, UINT8_MAX)
SPREAD(int16, real32, INT16_MIN, INT16_MAX)
SPREAD(uint16, real32, 0, UINT16_MAX)
#undef SPREAD

#define RECTANGLE(to)                                                                                           \
    INLINE TARGET void LEVEL(fill_##to)(to##_t *out, int64_t count, int32_t code) {                             \
        for (int64_t i = 0; i < count; i++) out[i] = (to##_t)code;                                              \
    }                                                                                                           \
    TARGET static int LEVEL(rectangle_##to)(const Source *source, const uint8_t *memory, to##_t *out) {         \
        const uint8_t *in = (source->constant ? source->constant : memory) + source->base;                      \
        const int64_t channels = source->count[2], line = source->size[1] * channels;                           \
        const int64_t left = source->first[1] * channels, width = source->count[1] * channels;                  \
        const int32_t above = source->first[0], below = source->size[0] - above - source->count[0];             \
        const int dense = source->pitch[1] == channels * source->pitch[2];                                      \
        int fault = 0;                                                                                          \
        LEVEL(fill_##to)(out, above * line, source->fill);                                                      \
        out += above * line;                                                                                    \
        for (int32_t y = 0; y < source->count[0]; y++, out += line) {                                           \
            const uint8_t *from = in + y * source->pitch[0];                                                    \
            const int32_t runs = dense ? 1 : source->count[1];                                                  \
            const int64_t run = dense ? width : channels;                                                       \
            LEVEL(fill_##to)(out, left, source->fill);                                                          \
            LEVEL(fill_##to)(out + left + width, line - left - width, source->fill);                            \
            for (int32_t x = 0; x < runs; x++)                                                                  \
                fault |= LEVEL(run_##to)(source, from + x * source->pitch[1], out + left + x * channels, run);  \
        }                                                                                                       \
        LEVEL(fill_##to)(out, below * line, source->fill);                                                      \
        return fault;                                                                                           \
    }
#define RUN(type, from, to) case type: return LEVEL(spread_##from##_##to)(source, in, out, count);
INLINE TARGET int LEVEL(run_int16)(const Source *source, const uint8_t *in, int16_t *out, int64_t count) {
    switch (source->type) {
        RUN(I8, int8, int16)
        RUN(U8, uint8, int16)
        RUN(I16, int16, int16)
    }
    return 1;
}
INLINE TARGET int LEVEL(run_real32)(const Source *source, const uint8_t *in, real32_t *out, int64_t count) {
    switch (source->type) {
        RUN(I8, int8, real32)
        RUN(U8, uint8, real32)
        RUN(I16, int16, real32)
        RUN(U16, uint16, real32)
    }
    return 1;
}
RECTANGLE(int16)
RECTANGLE(real32)
#if BYTES
INLINE TARGET int LEVEL(run_int8)(const Source *source, const uint8_t *in, int8_t *out, int64_t count) {
    if (source->type == U8) return LEVEL(spread_uint8_uint8)(source, in, (uint8_t *)out, count);
    return LEVEL(spread_int8_int8)(source, in, out, count);
}
RECTANGLE(int8)
#endif
#undef RUN
#undef RECTANGLE

TARGET static void LEVEL(square)(const int16_t *restrict x, int16_t *restrict squares, int32_t count) {
    for (int32_t n = 0; n < count; n++) squares[n] = (int16_t)(x[n] * x[n]);
}

#include "elements.h"

/* Fill in what a step reads of an image: its rectangles, and what is made of them; return whether it met a fault. */
TARGET static int LEVEL(filled)(const Step *s, const Batch *b, const uint8_t *memory, uint8_t *out) {
    int16_t *x = (int16_t *)out;
    for (int k = 0; k < s->sources; k++) {
        const Source *source = s->source + k;
        const int64_t count = (int64_t)source->size[0] * source->size[1] * source->count[2];
        if (s->kind == PRODUCT ? LEVEL(rectangle_int16)(source, memory, (int16_t *)out)
                               : LEVEL(rectangle_real32)(source, memory, (float *)out))
            return 1;
        out += count * (s->kind == PRODUCT ? 2 : 4);
    }
    for (int32_t n = 0; s->signs && n < s->room; n++) {
        x[s->room + n] = (int16_t)(x[n] < 0 ? -x[n] : 0);
        x[n] = x[n] < 0 ? 0 : x[n];
    }
    const int64_t length = (int16_t *)out - x;
    for (int sign = 0; b->tally && !b->tally->clips && sign <= s->signs; sign++)
        LEVEL(tally)(b->tally, sign, x + sign * s->room, x + sign * s->room + length);
    if (s->squares) LEVEL(square)(x, x + s->room, s->room);
    return 0;
}

#if BYTES
#include "quads.h"
#endif
#if TILED
#include "tiles.h"
#endif

/* Perform a step; return whether it met a fault, which the caller then finds by itself. */
TARGET static int LEVEL(perform)(const Step *s, const Batch *b) {
    if (s->kind == COPY) {
        copy(s, b);
        return 0;
    }
#if BYTES
    if (s->quads) return LEVEL(perform_quads)(s, b);
#endif
    if (s->direct && (s->kind == SUM || s->kind == MAXIMUM)) {
        LEVEL(direct_taps)(s, b);
        return 0;
    }
    if (s->direct) {
        int fault = 0;
        for (int64_t image = 0; image < b->images && !fault; image++) fault = LEVEL(elements)(s, b, image);
        return fault;
    }
#if TILED
    if (s->packed && !b->tally && b->images * s->vectors >= ROWS) return LEVEL(perform_tiled)(s, b);
#endif
    const int size = s->kind == PRODUCT ? 2 : 4;
    const int64_t image_bytes = ((int64_t)s->room * size * (s->squares || s->signs ? 2 : 1) + 63) / 64 * 64;
    const int64_t group = s->kind == PRODUCT ? images_of(b, image_bytes, 0) : 1;
    for (int64_t first = 0; first < b->images; first += group) {
        const int64_t images = b->images - first < group ? b->images - first : group;
        for (int64_t i = 0; i < images; i++)
            if (LEVEL(filled)(s, b, b->memory + (first + i) * b->pitch, b->scratch + i * image_bytes)) return 1;
        if (s->kind == PRODUCT && s->squares) LEVEL(noisy_products)(s, b, first, images, image_bytes);
        else if (s->kind == PRODUCT) LEVEL(products)(s, b, first, images, image_bytes, NULL);
        else if (s->kind == SUM || s->kind == MAXIMUM) LEVEL(taps)(s, b, first, images, image_bytes);
        else if (s->kind == SOFTMAX) softmax(s, b, first);
        else if (LEVEL(elements)(s, b, first)) return 1;
    }
    return 0;
}

#include "moments.h"

#undef Ints
#undef Words
#undef Floats
#undef Doubles
#undef Tile
#undef Walk
#undef Ending
#undef Guess
#undef LEVEL
#undef TARGET
#undef LANES
#undef VECTORS
#undef ROWS
#undef DRAWN
#undef FLOAT_IS_EXACT
#undef BYTES
#undef TILED
#undef ROOT_ERROR
