/* Four lanes in plain C: what any processor does. Float is left aside: without a fused multiply-add it proves less. */
#define LEVEL(name) name##_plain
#define TARGET
#define LANES 4
#define VECTORS 4 /* of LANES columns, handled together */
#define ROWS 1    /* vectors of the stream, handled together */
#define DRAWN 1   /* vectors whose random words are drawn together */
#define BYTES 0
#define TILED 0
#define FLOAT_IS_EXACT 0
#define ROOT_ERROR 0

typedef int32_t LEVEL(Ints) __attribute__((vector_size(16)));
typedef uint32_t LEVEL(Words) __attribute__((vector_size(16)));
typedef float LEVEL(Floats) __attribute__((vector_size(16)));
typedef double LEVEL(Doubles) __attribute__((vector_size(16)));
#define Ints LEVEL(Ints)
#define Words LEVEL(Words)
#define Floats LEVEL(Floats)
#define Doubles LEVEL(Doubles)

static inline Ints LEVEL(dot)(Ints sum, int32_t pair, Ints weights) {
    return sum + (weights << 16 >> 16) * (int16_t)pair + (weights >> 16) * (pair >> 16);
}
static inline Ints LEVEL(pairs)(Ints sum, Ints a, Ints b) {
    return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
}
static inline Ints LEVEL(looked_up)(const uint32_t *table, Ints index) {
    Ints found = {0};
    for (int i = 0; i < LANES; i++) found[i] = (int32_t)table[index[i]];
    return found;
}
/* Draw the words of one vector: the processor multiplies whole words of 64 bits. */
INLINE void LEVEL(drawn)(const Draws *draws, uint64_t sample, uint64_t first, const int64_t image[DRAWN],
                         const int64_t vector[DRAWN], uint32_t words[DRAWN][MOST_WORDS]) {
    drawn(draws, sample + (uint64_t)image[0], first + (uint64_t)vector[0], words[0]);
}
static inline Floats LEVEL(fused)(Floats a, Floats b, Floats c) { return a * b + c; }
static inline Floats LEVEL(least)(Floats a, Floats b) {
    Ints first = a < b;
    return (Floats)(((Ints)a & first) | ((Ints)b & ~first));
}
static inline Floats LEVEL(most)(Floats a, Floats b) { return -LEVEL(least)(-a, -b); }
static inline Doubles LEVEL(clip)(Doubles a, double low, double high) {
    for (int i = 0; i < LANES / 2; i++) a[i] = a[i] < low ? low : a[i] > high ? high : a[i];
    return a;
}
static inline Doubles LEVEL(low_doubles)(Floats a) { return (Doubles){a[0], a[1]}; }
static inline Doubles LEVEL(high_doubles)(Floats a) { return (Doubles){a[2], a[3]}; }
static inline Doubles LEVEL(low_wide)(Ints a) { return (Doubles){a[0], a[1]}; }
static inline Doubles LEVEL(high_wide)(Ints a) { return (Doubles){a[2], a[3]}; }
static inline Doubles LEVEL(root)(Doubles a) { return (Doubles){__builtin_sqrt(a[0]), __builtin_sqrt(a[1])}; }
static inline Floats LEVEL(inverse_root)(Floats a) {
    for (int i = 0; i < LANES; i++) a[i] = a[i] > 0 ? 1 / __builtin_sqrtf(a[i]) : 0;
    return a;
}
/* The nearest whole numbers below 2^22, ties to even. */
static inline Floats LEVEL(nearest)(Floats a) { return a + 0x1.8p23f - 0x1.8p23f; }
static inline float LEVEL(floats_sum)(Floats a) { return a[0] + a[1] + a[2] + a[3]; }
static inline int LEVEL(any)(Ints lanes) { return lanes[0] | lanes[1] | lanes[2] | lanes[3]; }
static inline int LEVEL(any_reaches)(Floats a, Floats b) { return LEVEL(any)((Ints)(a >= b)); }
/* Rounded to the nearest integers, ties to even. */
static inline Ints LEVEL(rounded)(Doubles low, Doubles high) {
    low = low + 0x1.8p52 - 0x1.8p52, high = high + 0x1.8p52 - 0x1.8p52;
    return (Ints){(int32_t)low[0], (int32_t)low[1], (int32_t)high[0], (int32_t)high[1]};
}
static inline void LEVEL(store)(uint8_t *out, int type, Ints values, int count) {
    int32_t lanes[LANES];
    memcpy(lanes, &values, sizeof lanes);
    store_lanes(out, type, lanes, count);
}
#define LOADED(type, size)                                                            \
    {                                                                                 \
        typedef type Part __attribute__((vector_size(size)));                         \
        Part part;                                                                    \
        memcpy(&part, in, sizeof part);                                               \
        return __builtin_convertvector(part, Ints);                                   \
    }
static inline Ints LEVEL(load)(const uint8_t *in, int type, int count) {
    if (count < LANES) {
        Ints values = {0};
        for (int i = 0; i < count; i++) values[i] = load_lane(in, type, i);
        return values;
    }
    if (type == I8) LOADED(int8_t, 4)
    if (type == U8) LOADED(uint8_t, 4)
    if (type == I16) LOADED(int16_t, 8)
    LOADED(uint16_t, 8)
}
#undef LOADED
