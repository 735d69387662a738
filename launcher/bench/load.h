/* launcher/bench/load.h: which requests a bench sends to a server, and when.
 *
 *   lengths and prompts: random, of --dataset, or the lengths of --trace
 *   arrivals:            gamma gaps at --request-rate or a rate that goes up, all at once, or those
 *                        of --trace
 *
 * All follow from the options: the same seed makes the same load.
 */
#pragma once
#include "base/bytes.h"
#include "launcher/bench/dataset.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct options;

struct load_request {
    double arrival_s; /* since the begin */
    int n_input;      /* tokens; 0: a text, and the server counts them */
    int n_output;
};

struct load { /* all zero: empty */
    struct load_request *request;
    size_t n;
    size_t first; /* random prompts are numbered from here: others than those of another run */
    struct dataset dataset;        /* request i has prompt i % dataset.n; empty: random ones */
    struct bytes tail;             /* of all bodies: body_tail.h */
    const struct options *options; /* borrowed */
    bool is_chat;
};

/* ERROR_INPUT: a file that is wrong, options that exclude each other. load_release() also after a
 * failure. */
bool load_make(struct load *out, const struct options *options,
               const volatile sig_atomic_t *interrupt, struct error *err);
/* Replaces *out with the JSON body of request i. */
void load_body(struct bytes *out, const struct load *load, size_t i, const char *model);
void load_release(struct load *load);
