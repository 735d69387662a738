/* kernels/cuda/lt_choices.h: which algorithm of cuBLASLt was the fastest for a shape, remembered
 * for as long as the device is open and, in a file, for the next start.
 *
 * The file is text: a line each for its version, the GPU and the version of cuBLASLt, and then one
 * for each choice, with a check sum. One that was made elsewhere is not used and is replaced; lines
 * that are damaged are left out. It is an aid and never an error: what goes wrong with it is one
 * warning.
 */
#pragma once
#include "kernels/dtype.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LT_MAX_CHOICES = 4096,
    LT_MAX_FILE_BYTES = 1 << 20,
};

struct lt_shape {
    enum dtype dtype; /* BF16 or F16 */
    int n_out, k;
    int n_tokens;      /* lt_bucket() of the rows */
    int out_alignment; /* bytes that out and its rows are aligned to: 4, 8 or 16 */
};
struct lt_algorithm { /* as the library made it: 64 bytes that only it understands */
    uint64_t word[8];
};

/* Rows that share a choice: rounded up to 8, and above 64 to a quarter of a power of two. */
int lt_bucket(int n_tokens);

struct lt_choices;
/* path NULL: no file. gpu and version say whose choices these are. */
struct lt_choices *lt_choices_open(const char *path, const char *gpu, size_t version);
/* NULL: none yet. Good until the next lt_choices_set(). */
const struct lt_algorithm *lt_choices_find(const struct lt_choices *choices,
                                           const struct lt_shape *shape);
/* Replaces an earlier choice. More than LT_MAX_CHOICES are not kept. */
void lt_choices_set(struct lt_choices *choices, const struct lt_shape *shape,
                    const struct lt_algorithm *algorithm);
/* Writes the file when there is something new, as a whole: readers see the old one or the new. */
void lt_choices_close(struct lt_choices *choices); /* NULL is fine */
