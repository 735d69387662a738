/* launcher/answer_json.h: an answered prompt as the JSON object that users get. */
#pragma once
#include <stdbool.h>

struct bytes;
struct generation_item;
struct sampling;

/* Appends it; `one_line` false: indented for people. */
void answer_json_write(struct bytes *out, const struct generation_item *item,
                       const struct sampling *sampling, bool one_line);
