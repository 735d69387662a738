#include "runtime/sample/tempered.h"

#include "base/check.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

static const float least_temperature = 0.01f;

/* Overflow stays finite, so that it can still be compared and subtracted. */
static void divide(float *out, const float *x, int n, float temperature)
{
    for (int i = 0; i < n; i++) {
        const float value = x[i] / temperature;
        out[i] = value > FLT_MAX ? FLT_MAX : value;
    }
}

void tempered_init(struct tempered *t, const struct row *row, float temperature, float *block_max)
{
    check(row->peak >= 0);
    *t = (struct tempered){.row = row,
                           .temperature =
                               temperature > least_temperature ? temperature : least_temperature,
                           .block_max = block_max,
                           .least = -INFINITY,
                           .last = {.value = -INFINITY, .token = INT32_MAX}};
    divide(block_max, row->block_max, row->n_blocks, t->temperature);
    divide(&t->max, &row->max, 1, t->temperature);
}

void tempered_drop_below(struct tempered *t, float least)
{
    t->least = least;
    for (int b = 0; b < t->row->n_blocks; b++)
        t->block_max[b] = t->block_max[b] - t->max >= least ? t->block_max[b] : -INFINITY;
}

void tempered_drop_behind(struct tempered *t, struct candidate last)
{
    t->last = last;
    for (int b = 0; b < t->row->n_blocks; b++)
        t->block_max[b] = t->block_max[b] >= last.value ? t->block_max[b] : -INFINITY;
}

static void drop_below(float out[ROW_BLOCK], const float value[ROW_BLOCK], float max, float least)
{
    for (int i = 0; i < ROW_BLOCK; i++)
        out[i] = value[i] - max >= least ? value[i] : -INFINITY;
}

/* Of those that equal `least` the first ones stay, up to and with last_equal. */
static void drop_behind(float out[ROW_BLOCK], const float value[ROW_BLOCK], float least,
                        int last_equal)
{
    for (int i = 0; i < ROW_BLOCK; i++) {
        const bool in = (value[i] > least) | ((value[i] == least) & (i <= last_equal));
        out[i] = in ? value[i] : -INFINITY;
    }
}

const float *tempered_read(const struct tempered *t, int block, float buffer[ROW_BLOCK])
{
    const int first = block * ROW_BLOCK, n = t->row->n - first;
    const float *value = t->row->logits + first;
    if (n < ROW_BLOCK) {
        for (int i = 0; i < ROW_BLOCK; i++)
            buffer[i] = i < n ? value[i] : -INFINITY;
        value = buffer;
    }
    if (t->temperature != 1) {
        divide(buffer, value, ROW_BLOCK, t->temperature);
        value = buffer;
    }
    if (t->least > -INFINITY) {
        drop_below(buffer, value, t->max, t->least);
        value = buffer;
    }
    if (t->last.value > -INFINITY) {
        drop_behind(buffer, value, t->last.value, t->last.token - first);
        value = buffer;
    }
    return value;
}

void tempered_write(const struct tempered *t, float *value)
{
    for (int b = 0; b < t->row->n_blocks; b++) {
        float buffer[ROW_BLOCK];
        const int first = b * ROW_BLOCK, n = t->row->n - first;
        const float *block = tempered_read(t, b, buffer);
        memmove(value + first, block, (size_t)(n < ROW_BLOCK ? n : ROW_BLOCK) * sizeof *value);
    }
}
