/* CRC-32 (IEEE 802.3) of the same bytes of each image, by products without carries where the processor has them.
 *
 * Bits are reflected: the first of a message is the lowest. What a block of 16 bytes adds to the CRC is unchanged where
 * the block is taken out and its two halves, times x^(n + 32) and x^(n - 32) mod P, are added n bits further on. So four
 * blocks in turn take in those 64 bytes on, then one takes in the others, and 16 bytes are left with the whole's CRC.
 */

/* CRCs of the numbers of four bits. */
static const uint32_t NIBBLES[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

static uint32_t crc_bytes(uint32_t crc, const uint8_t *data, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ NIBBLES[crc & 15];
        crc = crc >> 4 ^ NIBBLES[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)
#define FOLDING __attribute__((target("pclmul,sse2")))

FOLDING static __m128i block_at(const uint8_t *data) { return _mm_loadu_si128((const __m128i *)data); }

/* Add to the block behind what a block stands for; `powers` are those of x for the distance between them. */
FOLDING static __m128i folded(__m128i block, __m128i powers, __m128i behind) {
    const __m128i low = _mm_clmulepi64_si128(block, powers, 0x00), high = _mm_clmulepi64_si128(block, powers, 0x11);
    return _mm_xor_si128(behind, _mm_xor_si128(low, high));
}

FOLDING static uint32_t crc_of(const uint8_t *data, int64_t bytes) {
    if (bytes < 16) return ~crc_bytes(~0u, data, bytes);
    const __m128i by_1 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0), by_4 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
    const uint8_t *end = data + bytes;
    __m128i block[4] = {_mm_xor_si128(block_at(data), _mm_cvtsi32_si128(~0))};
    if (bytes >= 64) {
        for (int i = 1; i < 4; i++) block[i] = block_at(data + 16 * i);
        for (data += 64; end - data >= 64; data += 64)
            for (int i = 0; i < 4; i++) block[i] = folded(block[i], by_4, block_at(data + 16 * i));
        for (int i = 1; i < 4; i++) block[0] = folded(block[0], by_1, block[i]);
    } else {
        data += 16;
    }
    for (; end - data >= 16; data += 16) block[0] = folded(block[0], by_1, block_at(data));
    uint8_t left[16];
    memcpy(left, block, sizeof left);
    return ~crc_bytes(crc_bytes(0, left, sizeof left), data, end - data);
}
#endif

/* Put down the CRC of `bytes` of each image, `pitch` bytes apart; return 0 where the processor cannot do it fast. */
EXPORT int cimc_crcs(const uint8_t *first, int64_t pitch, int64_t images, int64_t bytes, uint32_t *crcs) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("pclmul")) return 0;
    for (int64_t i = 0; i < images; i++) crcs[i] = crc_of(first + i * pitch, bytes);
    return 1;
#else
    return 0;
#endif
}
