/* runtime/plan_record.h: the plans of a job in a file, to run them again without the requests.
 *
 *   header     magic, version, limits of both models, KV dtype; then its checksum
 *   plans      each: checksum (8 bytes), the bytes that were broadcast
 *
 * Numbers are as in memory of a little-endian machine; the checksums are XXH3, 64 bits. A plan is
 * whole in itself, so a file that ends after any plan (a job that was killed) is a good one.
 */
#pragma once
#include "base/system.h"
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stddef.h>

struct error;
struct plan_recorder;

/* What plans need to be run. */
struct plan_record_setup {
    struct plan_limits limits[PLAN_MODELS]; /* PLAN_DRAFT: all zero where there is none */
    int32_t kv_dtype;                       /* enum dtype */
};

/* Replaces the file. ERROR_SYSTEM names it, here and below. */
bool plan_recorder_open(struct plan_recorder **out, const char *path,
                        const struct plan_record_setup *setup, struct error *err);
bool plan_recorder_add(struct plan_recorder *recorder, const struct step_plan *plan,
                       struct error *err);
/* Writes what waits, and frees. NULL is fine: true. */
bool plan_recorder_close(struct plan_recorder *recorder, struct error *err);

struct plan_record {
    struct plan_record_setup setup;
    size_t n_plans, max_bytes; /* of a plan */
    struct file_map map;
    size_t at; /* of the next plan */
};

/* Reads and checks the whole file: checksums, limits, plan_check() of every plan, and that each
 * step follows the one before. ERROR_INPUT names the file and where it is damaged. */
bool plan_record_open(struct plan_record *out, const char *path, struct error *err);
/* The next plan, in the mapping; NULL after the last one. */
const struct step_plan *plan_record_next(struct plan_record *record);
void plan_record_close(struct plan_record *record); /* all zero is fine */

/* Whether a model with these limits (of which vocab, max_model_len and KV groups count; NULL: there
 * is no such model) can run the plans of `model`. ERROR_INPUT says what differs. */
bool plan_record_fits(const struct plan_record *record, enum plan_model model,
                      const struct plan_limits *limits, struct error *err);
