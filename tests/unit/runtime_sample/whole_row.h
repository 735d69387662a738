/* tests/unit/runtime_sample/whole_row.h: what walks over blocks, as functions of whole rows. */
#pragma once
#include "runtime/request/params.h"

/* value[vocab] over the temperature, less what the filters of `params` drop. */
void filter_whole_row(float *value, int vocab, const struct sampling_params *params);
/* pick_token(), with nothing dropped; -1 also of a row that cannot be opened. */
int32_t pick_of_whole_row(const float *value, int vocab, uint64_t seed, int position);
float log_sum_exp_of_whole_row(const float *value, int vocab);
