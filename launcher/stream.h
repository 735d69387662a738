/* launcher/stream.h: an answer on standard output as it comes, and how fast it came. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct generation_item;

struct stream {          /* of one answer; all zero, but for begin_ns where the speed is wanted */
    bool for_a_terminal; /* control characters of the answer do nothing there */
    size_t written;
    int64_t begin_ns, first_ns, last_ns; /* of clock_now_ns(): asked, first token, last token */
};

/* `progress` of struct generation_hooks, over a struct stream: writes what was released of the
 * choice since the last call; false when nobody reads any more. */
bool stream_show(void *context, const struct generation_item *item, int choice);

/* "12 tokens, first after 31 ms, then 480 tokens/s" */
void stream_describe(char *out, size_t n_bytes, const struct stream *stream, size_t n_tokens);
