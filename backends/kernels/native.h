/* What Python hands to the kernels: one Step an instruction. backends/kernels/library.py mirrors these structures. */
#ifndef CIMC_NATIVE_H
#define CIMC_NATIVE_H

#include <stdint.h>

enum { BLOCK = 16 };  /* columns or channels are handled in blocks of this many; every table is padded to them */
enum { WORDS = 8 };   /* random words that one block of Philox gives */
enum { FALL_BITS = 11 }; /* of a cell of the integer Gaussian: by how much it falls */
enum { DEPTH = 4 };   /* loops nest so deep */
enum { TILE_ROWS = 16, TILE_BYTES = 64, TILE = TILE_ROWS * TILE_BYTES }; /* of a tile register */
enum { GROUP = 2 * TILE_ROWS }; /* vectors whose sums tile registers make together */
enum { MOST_TILED = 16 };       /* parts of such a product */
enum { TAPS = 4, FOURTHS = 4, PIECE = 64 }; /* of a quad; of a piece, which 64 bytes are */
enum { MOST_ROWS = 4 };         /* rows of results that quads are made for together */

enum Kind { PRODUCT, SUM, MAXIMUM, SOFTMAX, LOOKUP, ADD, MULTIPLY, COPY, KINDS };

enum Type { I8, U8, I16, U16, I32, REAL }; /* REAL: float, of rectangles alone */

/* A tensor as it lies in memory, and the padded rectangle [rows][columns][channels] that is made of it. */
typedef struct {
    const uint8_t *constant;  /* NULL: the tensor lies in the activation memory of each image */
    int64_t base;             /* byte offset of the first element touched */
    int64_t pitch[3];         /* bytes from row to row, column to column, channel to channel; of a COPY, first from run to run */
    int32_t count[3];         /* rows, columns and channels touched */
    int32_t size[2];          /* rows and columns of the rectangle */
    int32_t first[2];         /* where in the rectangle the tensor begins; at its end, if it lies beyond */
    int32_t type, fill;       /* element type, and the code outside the tensor */
    int32_t low, high;        /* an element outside these is a fault */
    int64_t moves[DEPTH];     /* bytes by which it moves on in each turn of the loops around, the outermost first */
} Source;

/* Noise of each product: normal with the variance sum_i x_i^2 v_ij, which is summed digit by digit of v. Where the
 * epilogue is in float, floats estimate the code of the sum with its noise, from v in 16 bits; what they leave in doubt
 * is made again. */
typedef struct {
    const int16_t *digits;      /* [count][columns / BLOCK][pairs][BLOCK][2]: digits of `bits` bits, lowest first */
    const int16_t *estimates;   /* [columns / BLOCK][pairs][BLOCK][2]: w, each v in a unit of its column, rounded */
    const float *spreads;       /* [columns]: root of the unit, in codes for the unit of a normal variable */
    const float *shares;        /* [columns]: sum_i x_i^2 w_ij is wrong by at most so much of its sum over a block */
    const uint32_t *normals;    /* [CELLS]: the cells of gaussian.py, first entry << FALL_BITS | fall */
    int32_t count, bits;
    double scale;               /* unit of the product of spread and normal variable */
    float error;                /* of what floats make of an estimated variance, relative to it */
    float certain;              /* an estimate this near a whole number, its error added, rounds to the code */
    uint64_t seed, vector, purpose; /* key, and counter words 1 and 3 without the vector; draws.py has the table */
    int64_t column;             /* physical column of the block's first */
    int64_t moves[DEPTH];       /* what each turn of the loops around adds to `vector` */
} Noise;

/* The ADCs of a block's columns with their errors, as NoisyConverter of read_noise.py has them. */
typedef struct {
    const double *multipliers, *offsets, *bows; /* [columns]: m', and errors in Q16 LSB */
    const Noise *noise;         /* where the noise of each output is drawn; NULL: none */
    double output;              /* spread of that noise, Q16 LSB, for a normal variable in Q16 */
    double unit, error_unit;    /* 2^-k, and 2^(k - 16) */
    double largest, high;       /* error in Q16 LSB, and code */
} Converter;

/* Neighbouring elements that a vector takes: where they begin from its place on, and how many they are. */
typedef struct {
    int32_t first, count;
} Run;

/* One block of rows in a product: the sum over pairs of rows, then the ADC. */
typedef struct {
    const int32_t *offsets;     /* [pairs]: where each pair of elements lies from a vector's place on */
    const int16_t *weights;     /* [columns / BLOCK][pairs][BLOCK][2] */
    const int8_t *tiles;        /* [columns / BLOCK][depth][2][TILE_ROWS][BLOCK][4]: digits of the weights, the high first */
    const Run *run;             /* [runs]: what is packed of a vector for tile registers, to 64 * depth bytes */
    const double *multipliers;  /* [columns]: M / 2^shift */
    const float *narrow;        /* the same */
    const float *rests;         /* [columns]: what floats leave of it; of split results */
    double factor;              /* m / 2^k */
    double low, high;           /* of the codes */
    const Noise *noise;         /* NULL: none */
    const Converter *converter; /* NULL: perfect */
    int32_t pairs;
    int32_t narrow_sums;        /* sums stay below 2^24 */
    int32_t whole;              /* codes are the sums themselves */
    int32_t floor;
    int32_t negative;           /* reads the elements below 0 */
    int32_t runs, depth;
} Part;

/* How a SUM over bytes is made by products of bytes; quads.py has the order of a piece's lanes. Results are a grid of
 * [rows][lines], each line `joined` vectors that lie side by side; those of a row read rows of taps below each other. */
typedef struct {
    const int8_t *weights;      /* [pieces][height][across][FOURTHS][BLOCK][TAPS] */
    const int32_t *taps;        /* [across][TAPS]: where the taps of a row begin, from its place on */
    const int32_t *starts;      /* [pieces][PIECE]: what sums begin with, against `flip` */
    const float *multipliers, *offsets; /* [pieces][PIECE] */
    int64_t pitch, out_pitch;   /* bytes from row to row, of the rectangle and of results */
    int32_t pieces;             /* after which tables repeat along a line */
    int32_t height, width;      /* rows of taps, and taps of a row */
    int32_t across;             /* quads of a row */
    int32_t rows, lines, joined;
    int32_t stride;             /* rows of the rectangle from one row of results to the next */
    int32_t length;             /* bytes of a line */
    int32_t flip;               /* makes bytes unsigned: 0x80 for signed ones, else 0 */
} Quads;

typedef struct {
    int32_t kind;
    int32_t sources;            /* 1, or 2: the rectangles lie one behind the other */
    Source source[2];
    const int32_t *places;      /* [vectors]: where each vector lies in the rectangle */
    int32_t vectors, columns;   /* vectors an image, results a vector */
    const Part *parts;          /* of a PRODUCT */
    const int32_t *taps;        /* where each element lies from a vector's place on; of LOOKUP, ADD and MULTIPLY: each source */
    const float *weights;       /* of SUM: [taps][columns]; of MULTIPLY: zero points [2][columns] */
    const Quads *quads;         /* of SUM: where products of bytes make it; NULL: nowhere */
    const int32_t *table;       /* of SOFTMAX and LOOKUP */
    int32_t count;              /* of parts, taps, table entries, or of the bytes of a run of a COPY */
    const double *multipliers;  /* of SUM, ADD and MULTIPLY: M / 2^shift [columns], of ADD one such row a source */
    const double *offsets;      /* [columns]: B / 2^shift */
    const float *narrow_multipliers, *narrow_offsets;
    const float *rests;         /* [columns]: what whole offsets leave, where results are split */
    double low, high;           /* of the results */
    int64_t numerator, zero;    /* of SOFTMAX; zero is also the first code of a LOOKUP */
    int64_t out_base, out_step; /* bytes: where the results lie, and from one vector's to the next's */
    int32_t out_type;
    int32_t room;               /* elements of the rectangles, with slack */
    int32_t squares;            /* whether the squares of the elements follow, for noise */
    int32_t signs;              /* whether elements below 0 lie behind the others, as magnitudes: each is 0 in one of both */
    int32_t packed;             /* of PRODUCT: bytes of a vector packed for tile registers; 0: not for these */
    int32_t moving;             /* whether sources or results move on in the turns of loops */
    int32_t direct;             /* whether sources are read where they lie, without rectangles */
    int32_t split;              /* of PRODUCT: whether the whole numbers in its terms are summed apart from what lies beside */
    float certain;              /* of PRODUCT, SUM and ADD: a result in float this near a whole number rounds to the exact one; 0: none does */
    int64_t out_moves[DEPTH];
} Step;

/* What a product is asked for by an observer: sums over all images, of elements of the rectangle [period] and of the
 * codes of each part; or clips alone, image by image. */
typedef struct {
    int32_t *driven;  /* how often an element was not 0 */
    int32_t *pulse;   /* the sum of its magnitude */
    int64_t *codes;   /* the sum of the magnitudes of the ADC's codes */
    int64_t period;   /* elements that lie so far apart are summed together; divides those of the rectangle */
    int64_t (*clips)[2]; /* how many codes of an image lay below and above those of the ADCs; NULL: sums are asked for */
} Tally;

/* The images in flight: their memories lie `pitch` bytes apart; `scratch` has room for the step that needs most. */
typedef struct {
    uint8_t *memory;
    int64_t pitch;
    int64_t images;
    int64_t sample;  /* number of the first image within its file */
    uint8_t *scratch;
    int64_t scratch_bytes;
    int64_t *turns;  /* [DEPTH]: the turn of each loop around */
    const Tally *tally; /* of the product being made; NULL: nothing is asked for */
} Batch;

/* Sums i32 [images][vectors][columns], those of each image one behind the other. */
typedef struct {
    const uint8_t *first;
    int64_t pitch; /* bytes from image to image */
    int64_t images, vectors, columns;
} Sums;

/* Moments of such sums, each [columns] but the aim, which is as many sums without gaps. */
typedef struct {
    const int32_t *aim;
    const double *centre, *aimed; /* what deviations of sums and of aims are from */
    double *products, *squares;   /* of both deviations, and of the sums': what is found is added */
} Moments;

#endif
