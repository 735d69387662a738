/* launcher/batch/results.h: where the answers of a batch go as they come.
 *
 * Into a journal, and when the last one is there in order into the output: the output is whole, or
 * not there, and a batch that ended early goes on. Where input or output cannot be read again (a
 * pipe) there is no journal: an answer is held until all before it are there, and written then.
 */
#pragma once
#include "base/bytes.h"
#include "launcher/batch/journal.h"
#include "launcher/batch/order.h"
#include "launcher/batch/whole_file.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct error;

struct results_settings {            /* borrowed */
    const char *output, *error_file; /* error_file NULL: errors are among the answers */
    const char *journal;             /* NULL: none */
    double sync_every_s;
    bool restart; /* forget what is in the journal */
};

struct batch_results {
    struct results_settings settings;
    struct batch_journal log;
    struct bytes marks;            /* of the journal as it was found */
    struct whole_file out, errors; /* without a journal, open all the time */
    struct batch_order order;
    size_t held_bytes;             /* of answers that wait for one before them */
    uint64_t n_found;              /* requests that were answered when it was opened */
    uint64_t n_answered, n_failed; /* n_failed: those of them that are errors */
};

/* Opens what it writes to, so that what cannot be written is told before anything is computed.
 * batch_results_close() also after a failure. */
bool batch_results_open(struct batch_results *out, const struct results_settings *settings,
                        struct error *err);
/* Whether the journal that was found is of a batch with these marks. */
bool batch_results_check(const struct batch_results *results, const json_t *marks,
                         struct error *err);
/* Goes on with the journal, or begins one. `marks` gets the begin of the one that was found. */
bool batch_results_begin(struct batch_results *results, json_t *marks, struct error *err);

/* Whether a request may be sent: its answer would find a place. */
bool batch_results_have_room(const struct batch_results *results, uint64_t number);
bool batch_results_have(const struct batch_results *results, uint64_t number);
/* A line, without its newline. ERROR_SYSTEM: what is there already stays. */
bool batch_results_put(struct batch_results *results, uint64_t number, bool is_error,
                       const struct bytes *line, struct error *err);
/* Now and then: what is due goes to the disk, or to the reader. */
bool batch_results_sync(struct batch_results *results, bool now, struct error *err);
/* All are there: the output gets its name, and the journal goes. */
bool batch_results_finish(struct batch_results *results, struct error *err);
void batch_results_close(struct batch_results *results);
