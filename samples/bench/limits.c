/* What this core can do at most, for limits.py: a line "level what count_per_s" each, of the kernels' own operations. */
#include "native.c"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REPEATS = 7, WIDE = 8, COLUMNS = 32, FAR = 1 << 26 };

static volatile int32_t sink;

#if defined(__x86_64__)
#define REGISTER "+v"
#else
#define REGISTER "+w"
#endif

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Print the most that any repeat made a second. */
static void print_fastest(const char *level, const char *what, int64_t (*work)(void)) {
    double most = 0;
    for (int i = 0; i < REPEATS; i++) {
        const double start = seconds();
        const int64_t count = work();
        const double rate = (double)count / (seconds() - start);
        most = rate > most ? rate : most;
    }
    printf("%s %s %.4g\n", level, what, most);
}

/* Multiply-adds, square roots, random words of Philox and normal variables of a level: as many chains as hide what one operation waits for.
 * The empty assembly keeps the compiler from doing equal work once. */
#define LIMITS(name, flags, lanes, drawn)                                                                              \
    flags static int64_t limit_dots_##name(void) {                                                                           \
        Ints_##name sum[WIDE] = {{0}}, weights = {3, 5};                                                               \
        for (int32_t i = 0; i < 1 << 22; i++) {                                                                        \
            for (int n = 0; n < WIDE; n++) {                                                                           \
                __asm__ volatile("" : REGISTER(weights));                                                          \
                sum[n] = dot_##name(sum[n], 0x30005, weights);                                                         \
            }                                                                                                          \
        }                                                                                                              \
        for (int n = 1; n < WIDE; n++) sum[0] += sum[n];                                                               \
        sink = sum[0][0];                                                                                              \
        return ((int64_t)WIDE << 22) * lanes * 2;                                                                      \
    }                                                                                                                  \
    flags static int64_t limit_roots_##name(void) {                                                                          \
        Doubles_##name sum = {0}, value = {3, 5};                                                                      \
        for (int32_t i = 0; i < 1 << 21; i++) {                                                                        \
            __asm__ volatile("" : REGISTER(value));                                                                        \
            sum += root_##name(value);                                                                                 \
        }                                                                                                              \
        sink = (int32_t)sum[0];                                                                                        \
        return ((int64_t)1 << 21) * lanes / 2;                                                                         \
    }                                                                                                                  \
    flags static int64_t limit_words_##name(void) {                                                                    \
        const Draws draws = draws_of(&(Noise){0}, 0, COLUMNS);                                                         \
        uint32_t found[drawn][MOST_WORDS];                                                                      \
        int64_t vector[drawn] = {0}, image[drawn] = {0};                                                 \
        for (uint64_t i = 0; i < 1 << 15; i++) {                                                                       \
            drawn_##name(&draws, 0, i, image, vector, found);                                                          \
            sink = (int32_t)found[drawn - 1][i % COLUMNS];                                                      \
        }                                                                                                              \
        return ((int64_t)COLUMNS << 15) * drawn;                                                                \
    }                                                                                                                  \
    flags static int64_t limit_normals_##name(void) {                                                                  \
        static const uint32_t cells[31 << CELL_BITS];                                                                  \
        const Noise noise = {.normals = cells};                                                                        \
        const Draws draws = draws_of(&noise, 0, COLUMNS);                                                              \
        Ints_##name sum = {0};                                                                                         \
        uint32_t words[2][drawn][MOST_WORDS] = {{{0}}};                                                         \
        int64_t vector[drawn] = {0}, image[drawn] = {0};                                                 \
        for (uint64_t i = 0; i < 1 << 15; i++) {                                                                       \
            drawn_##name(&draws, 0, i, image, vector, words[i & 1]);                                                   \
            for (int r = 0; r < drawn; r++)                                                                     \
                for (int n = 0; n < COLUMNS; n += lanes)                                                               \
                    sum += normals_##name(cells, ints_##name(words[~i & 1][r] + n));                                   \
        }                                                                                                              \
        sink = sum[0];                                                                                                 \
        return ((int64_t)COLUMNS << 15) * drawn;                                                                \
    }

#if defined(__x86_64__)
LIMITS(avx2, __attribute__((target("avx2,fma"))), 8, 1)
LIMITS(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), 16, 8)
LIMITS(vnni, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma"))), 16, 8)
#else
LIMITS(plain, , 4, 1)
#endif

static int64_t copied(int64_t size, int times) {
    static char *from, *to;
    if (!from) from = calloc(FAR, 1), to = calloc(FAR, 1);
    for (int i = 0; i < times; i++) {
        memcpy(to, from, (size_t)size);
        sink = to[i];
    }
    return size * times;
}
static int64_t near(void) { return copied(1 << 15, 1 << 14); }
static int64_t far(void) { return copied(FAR, 4); }

#define PRINT_LIMITS(name)                                                                                   \
    (print_fastest(#name, "dots", limit_dots_##name), print_fastest(#name, "roots", limit_roots_##name), \
     print_fastest(#name, "words", limit_words_##name), print_fastest(#name, "normals", limit_normals_##name))

int main(void) {
#if defined(__x86_64__)
    const int levels = cimc_levels();
    if (levels > 1) PRINT_LIMITS(avx2);
    if (levels > 2) PRINT_LIMITS(avx512);
    if (levels > 3) PRINT_LIMITS(vnni);
#else
    PRINT_LIMITS(plain);
#endif
    print_fastest("any", "near", near);
    print_fastest("any", "far", far);
    return 0;
}
