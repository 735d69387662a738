/* launcher/bench/trace.h: when requests came to some server, and how long they were.
 *
 * JSON lines {"timestamp": 27482, "input_length": 6955, "output_length": 52, …}, or CSV whose first
 * line names these three columns among others. Timestamps are milliseconds, in order; the first
 * request is sent at once.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

struct trace_row {
    double arrival_s; /* since the first one */
    int n_input, n_output;
};

struct trace { /* all zero: empty */
    struct trace_row *row;
    size_t n;
};

enum { TRACE_MAX_ROWS = 1000000, TRACE_MAX_TOKENS = 16777216 };

/* At most `max` rows. ERROR_INPUT: no such file, none in it, or a line that is wrong, with its
 * number. trace_release() also after a failure. */
bool trace_read(struct trace *out, const char *path, size_t max,
                const volatile sig_atomic_t *interrupt, struct error *err);
void trace_release(struct trace *trace);
