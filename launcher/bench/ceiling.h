/* launcher/bench/ceiling.h: what the memory of this machine allows, measured in the same run.
 *
 * A decode step reads every weight once, of an embedding that is no head one row, and the keys and
 * values of each sequence. At batch 1 no machine makes more tokens a second than its bandwidth over
 * these bytes; at batch B the weights are shared, and B times that number is what is aimed at. All
 * this is without guesses: those that are right go beyond it. The memory of a GPU is not measured:
 * where ranks compute on GPUs the ceiling is not known.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct error;
struct options;
struct session;
struct team;

struct ceiling {                   /* all zero: not known */
    struct team *team;             /* as many threads as all ranks have */
    void *memory;                  /* to read */
    double bandwidth;              /* bytes per second, the best measurement so far */
    double weight_bytes, kv_bytes; /* of a step; of one position of one sequence */
    int n_threads;
};

/* ERROR_SYSTEM: no memory to read. ceiling_close() also after a failure. */
bool ceiling_open(struct ceiling *out, const struct options *options, const struct session *session,
                  struct error *err);
bool ceiling_is_known(const struct ceiling *ceiling);
/* Reads it once more; before and after what is measured, while the ranks wait. */
void ceiling_measure(struct ceiling *ceiling);
/* Of one that is known: tokens per second of one sequence in the middle of `context` positions, at
 * most. */
double ceiling_tokens(const struct ceiling *ceiling, double context);
void ceiling_print(const struct ceiling *ceiling, double context);
/* A new object. */
json_t *ceiling_json(const struct ceiling *ceiling, double context);
void ceiling_close(struct ceiling *ceiling);
