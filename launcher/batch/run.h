/* launcher/batch/run.h: the requests of a batch through the endpoints of an open service.
 *
 * Requests are sent in their order, never more than a few for each sequence that the engines run,
 * and their answers are kept as they come. So memory depends on how many run at once, and not on
 * how many there are.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct batch_lines;
struct batch_results;
struct error;
struct progress;
struct service;

struct batch_run { /* borrowed */
    struct service *service;
    struct batch_lines *lines;
    struct batch_results *results;
    struct progress *progress;
    uint64_t seed;     /* what the seeds of requests are made from */
    int64_t created_s; /* in answers: when the batch was begun */
};

/* Until every request has an answer. False: what was answered is kept. ERROR_PEER: the ranks are
 * lost; ERROR_LIMIT: interrupted; ERROR_SYSTEM: the answers cannot be written. */
bool batch_run(struct batch_run *run, struct error *err);
