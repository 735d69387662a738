/* parallel/pieces.h: how communicators cut what is larger than their buffers. Private to parallel/.
 */
#pragma once
#include <stddef.h>
#include <string.h>

enum { LINE_FLOATS = 16 }; /* of a cache line: where slices begin */

/* `count` columns of the parts of this rank, whose rows are `stride` floats apart. */
struct columns {
    float *sum, *parts;
    size_t stride, count;
};

static inline size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

/* Bytes of the piece at `at` out of `n_bytes`, none of which has more than `most`. */
static inline size_t piece(size_t n_bytes, size_t at, size_t most)
{
    return at < n_bytes ? min_size(n_bytes - at, most) : 0;
}

/* Where the slice of `count` columns begins that `rank` of `size` adds up for all of them. */
static inline size_t slice_begin(size_t count, int size, int rank)
{
    const size_t n_lines = (count + LINE_FLOATS - 1) / LINE_FLOATS, n = (size_t)size;
    return min_size(count, (n_lines + n - 1) / n * LINE_FLOATS * (size_t)rank);
}

/* Nothing, where a rank has nothing or all is where it belongs. */
static inline void copy(void *to, const void *from, size_t n_bytes)
{
    if (n_bytes > 0 && to != from)
        memcpy(to, from, n_bytes);
}
