#include "tests/unit/runtime_sample/whole_row.h"

#include "runtime/sample/filter.h"
#include "runtime/sample/pick.h"
#include "tests/test.h"

enum { MOST_VOCAB = 1 << 14 };

static float raw_max[MOST_VOCAB / ROW_BLOCK], left_max[MOST_VOCAB / ROW_BLOCK];

static bool open_row(struct tempered *t, struct row *row, const float *value, int vocab,
                     float temperature)
{
    CHECK(vocab <= MOST_VOCAB);
    row_open(row, value, vocab, raw_max);
    if (row->peak < 0)
        return false;
    tempered_init(t, row, temperature, left_max);
    return true;
}

void filter_whole_row(float *value, int vocab, const struct sampling_params *params)
{
    struct row row;
    struct tempered t;
    struct filter_scratch scratch;
    CHECK(open_row(&t, &row, value, vocab, params->temperature));
    filter_scratch_init(&scratch, vocab);
    filter_apply(&t, &scratch, params);
    filter_scratch_release(&scratch);
    tempered_write(&t, value);
}

int32_t pick_of_whole_row(const float *value, int vocab, uint64_t seed, int position)
{
    struct row row;
    struct tempered t;
    return open_row(&t, &row, value, vocab, 1) ? pick_token(&t, seed, position) : -1;
}

float log_sum_exp_of_whole_row(const float *value, int vocab)
{
    struct row row;
    struct tempered t;
    struct filter_scratch scratch;
    CHECK(open_row(&t, &row, value, vocab, 1));
    filter_scratch_init(&scratch, vocab);
    const float lse = filter_log_sum_exp(&t, &scratch);
    filter_scratch_release(&scratch);
    return lse;
}
