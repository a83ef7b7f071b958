/* Products by tile registers, which multiply 16 vectors of 64 bytes by 16 columns at a time (AMX).
 *
 * A weight is 256 times one digit plus another, each a signed byte. Vectors are packed one behind the other, and the sums
 * of a group of them lie in memory until the kernels take them up, a few vectors at a time.
 */

/* The compiler is not told what tile registers read. */
#define BARRIER() __asm__ volatile("" ::: "memory")

/* Make all tile registers as large as they can be. */
INLINE TARGET void LEVEL(configured)(void) {
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {.palette = 1};
    for (int n = 0; n < 8; n++) shape.bytes[n] = TILE_BYTES, shape.rows[n] = TILE_ROWS;
    BARRIER();
    __asm__ volatile("ldtilecfg %0" ::"m"(shape));
}

/* Sum the products of a group of `rows` packed vectors and both digits of a block of columns. Registers 0 to 3 have the
 * sums, 4 and 5 the digits, 6 and 7 the vectors. */
INLINE TARGET void LEVEL(multiply)(int32_t sums[2][GROUP][BLOCK], const int8_t *x, int64_t pitch, const int8_t *weights,
                                   int depth, int rows) {
    const int8_t *behind = x + TILE_ROWS * pitch;
    const int64_t line = BLOCK * 4;
    BARRIER();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int d = 0; d < depth; d++, weights += 2 * TILE) {
        _tile_loadd(4, weights, line);
        _tile_loadd(5, weights + TILE, line);
        _tile_loadd(6, x + d * TILE_BYTES, pitch);
        _tile_dpbssd(0, 6, 4);
        _tile_dpbssd(1, 6, 5);
        if (rows <= TILE_ROWS) continue;
        _tile_loadd(7, behind + d * TILE_BYTES, pitch);
        _tile_dpbssd(2, 7, 4);
        _tile_dpbssd(3, 7, 5);
    }
    _tile_stored(0, sums[0], line);
    _tile_stored(1, sums[1], line);
    if (rows <= TILE_ROWS) return;
    _tile_stored(2, sums[0] + TILE_ROWS, line);
    _tile_stored(3, sums[1] + TILE_ROWS, line);
}

/* Pack what each part takes of the vectors at these places. What lies behind it meets weights of 0. */
INLINE TARGET void LEVEL(pack)(const Step *s, const uint8_t *const place[GROUP], int8_t *packed, int vectors) {
    for (int t = 0; t < s->count; t++) {
        const Part *part = s->parts + t;
        int8_t *out = packed;
        for (int n = 0; n < part->runs; out += part->run[n++].count) {
            const int64_t first = part->run[n].first;
            const int32_t count = part->run[n].count;
            if (count <= 16) {
                const __mmask16 taken = (__mmask16)(0xFFFF >> (16 - count));
                for (int v = 0; v < vectors; v++)
                    _mm_mask_storeu_epi8(out + v * s->packed, taken, _mm_loadu_si128((const __m128i *)(place[v] + first)));
                continue;
            }
            for (int32_t i = 0; i < count; i += TILE_BYTES) {
                const __mmask64 taken = ~(__mmask64)0 >> (count - i < TILE_BYTES ? TILE_BYTES - (count - i) : 0);
                for (int v = 0; v < vectors; v++)
                    _mm512_mask_storeu_epi8(out + v * s->packed + i, taken,
                                            _mm512_maskz_loadu_epi8(taken, place[v] + first + i));
            }
        }
        packed += part->depth * TILE_BYTES;
    }
}

/* Pack the next `count` vectors of a walk. */
TARGET static void LEVEL(pack_vectors)(const Step *s, const Batch *b, Walk *walk, int8_t *packed, int64_t count) {
    for (int64_t n = 0; n < count; n += GROUP) {
        const int vectors = count - n < GROUP ? (int)(count - n) : GROUP;
        const uint8_t *place[GROUP];
        for (int v = 0; v < vectors; v++) {
            place[v] = walk->rectangle + s->places[walk->vector];
            LEVEL(step_on)(walk, s, b);
        }
        LEVEL(pack)(s, place, packed + n * s->packed, vectors);
    }
}

/* Make the sums of a group of packed vectors and `blocks` blocks of columns from `block` on, part by part. */
INLINE TARGET void LEVEL(make)(Made *made, const Step *s, int block, int blocks, const int8_t *packed, int rows) {
    for (int t = 0; t < s->count; t++) {
        const Part *part = s->parts + t;
        const int8_t *weights = part->tiles + (int64_t)block * part->depth * 2 * TILE;
        for (int n = 0; n < blocks; n++, weights += part->depth * 2 * TILE)
            LEVEL(multiply)(made[t].sums[n], packed, s->packed, weights, part->depth, rows);
        packed += part->depth * TILE_BYTES;
    }
}

/* Products of the vectors of some images, whose rectangles of bytes `walk` goes over; as many as there is room for in
 * `packed` at a time. */
TARGET static void LEVEL(tiled_products)(const Step *s, const Batch *b, int64_t images, Walk walk, int8_t *packed) {
    const int most = VECTORS * LANES / BLOCK, blocks = (s->columns + BLOCK - 1) / BLOCK;
    const int64_t total = images * s->vectors, room = packed_vectors(s);
    Made made[MOST_TILED];
    LEVEL(configured)();
    for (int64_t first = 0; first < total; first += room) {
        const int64_t count = total - first < room ? total - first : room;
        const Walk start = walk;
        LEVEL(pack_vectors)(s, b, &walk, packed, count);
        for (int block = 0; block < blocks; block += most) {
            const int used = blocks - block < most ? blocks - block : most, full = used > most / 2;
            Walk again = start;
            for (int64_t n = 0; n < count; n += GROUP) {
                const int rows = count - n < GROUP ? (int)(count - n) : GROUP;
                LEVEL(make)(made, s, block, used, packed + n * s->packed, rows);
                for (int row = 0; row < rows; row += ROWS) {
                    Tile tile;
                    tile.made = made, tile.row = row, tile.draws = NULL;
                    LEVEL(next)(&tile, &again, s, b, rows - row);
                    LEVEL(dispatch)(s, &tile, block, b, full);
                }
            }
        }
    }
    _tile_release();
}

/* Perform a PRODUCT without noise, group by group of images. */
TARGET static int LEVEL(perform_tiled)(const Step *s, const Batch *b) {
    const int64_t image_bytes = ((int64_t)s->room + 63) / 64 * 64, group = images_of(b, image_bytes, packed_bytes(s));
    for (int64_t first = 0; first < b->images; first += group) {
        const int64_t images = b->images - first < group ? b->images - first : group;
        for (int64_t i = 0; i < images; i++)
            if (LEVEL(rectangle_int8)(s->source, b->memory + (first + i) * b->pitch, (int8_t *)b->scratch + i * image_bytes))
                return 1;
        const Walk walk = LEVEL(walk)(s, b, first, image_bytes, 1);
        LEVEL(tiled_products)(s, b, images, walk, (int8_t *)b->scratch + group * image_bytes);
    }
    return 0;
}
#undef BARRIER
