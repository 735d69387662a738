/* The file is checked whole when it is opened, so that a job that replays it meets no surprise
 * while other ranks wait for its next plan. */
#include "runtime/plan_record.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { RECORD_VERSION = 1 };
static const uint64_t record_magic = 0x4e414c50584c4850; /* "PHLXPLAN" */

struct record_header {
    uint64_t magic;
    uint32_t version, n_bytes;
    struct plan_record_setup setup;
    uint32_t padding;
    uint64_t checksum; /* of all before it */
};
_Static_assert(sizeof(struct record_header) % 8 == 0, "plans begin at a multiple of 8");
_Static_assert(offsetof(struct record_header, checksum) ==
                   offsetof(struct record_header, padding) + sizeof(uint32_t),
               "no bytes without a name");

/* ---- writing ---- */

struct plan_recorder {
    FILE *file;
    char *path;
};

static bool write_bytes(struct plan_recorder *r, const void *data, size_t n_bytes,
                        struct error *err)
{
    return fwrite(data, 1, n_bytes, r->file) == n_bytes || error_errno(err, "writing %s", r->path);
}

bool plan_recorder_open(struct plan_recorder **out, const char *path,
                        const struct plan_record_setup *setup, struct error *err)
{
    struct record_header header = {.magic = record_magic,
                                   .version = RECORD_VERSION,
                                   .n_bytes = sizeof header,
                                   .setup = *setup};
    header.checksum = XXH3_64bits(&header, offsetof(struct record_header, checksum));
    FILE *file = fopen(path, "wbe");
    if (file == NULL)
        return error_set(err, ERROR_INPUT, "cannot write %s: %s", path, strerror(errno));
    struct plan_recorder *r = memory_alloc(1, sizeof *r);
    r->file = file;
    r->path = memory_copy_text(path);
    if (!write_bytes(r, &header, sizeof header, err)) {
        struct error ignored = {0};
        plan_recorder_close(r, &ignored);
        return false;
    }
    *out = r;
    return true;
}

bool plan_recorder_add(struct plan_recorder *r, const struct step_plan *plan, struct error *err)
{
    const uint64_t checksum = XXH3_64bits(plan, plan->n_bytes);
    return write_bytes(r, &checksum, sizeof checksum, err) &&
           write_bytes(r, plan, plan->n_bytes, err) &&
           (fflush(r->file) == 0 || error_errno(err, "writing %s", r->path));
}

bool plan_recorder_close(struct plan_recorder *r, struct error *err)
{
    if (r == NULL)
        return true;
    const bool good = fclose(r->file) == 0 || error_errno(err, "writing %s", r->path);
    memory_free(r->path);
    memory_free(r);
    return good;
}

/* ---- reading ---- */

static bool in_range(const char *what, int64_t value, int64_t lo, int64_t hi, struct error *err)
{
    return (value >= lo && value <= hi) ||
           error_set(err, ERROR_INPUT, "%s is %lld, want %lld to %lld", what, (long long)value,
                     (long long)lo, (long long)hi);
}

static bool limits_check(const struct plan_limits *l, struct error *err)
{
    enum { MOST = 1 << 24 };
    if (!in_range("the size of a block", l->block_tokens, 16, 256, err))
        return false;
    if ((l->block_tokens & (l->block_tokens - 1)) != 0)
        return error_set(err, ERROR_INPUT, "a block of %d positions", l->block_tokens);
    for (int g = 0; g < KV_MAX_GROUPS; g++)
        if (!in_range("a window", l->kv_window[g], 0, INT32_MAX, err))
            return false;
    return in_range("the most tokens of a step", l->max_tokens, 1, MOST, err) &&
           in_range("the most sequences of a step", l->max_sequences, 1, MOST, err) &&
           in_range("the most rows of logits", l->max_logits, 1, MOST, err) &&
           in_range("the number of blocks", l->n_kv_blocks, 1, INT32_MAX / l->block_tokens, err) &&
           in_range("the longest sequence", l->max_model_len, 1, MOST, err) &&
           in_range("the vocabulary", l->vocab, 1, MOST, err) &&
           in_range("the number of KV groups", l->n_kv_groups, 1, KV_MAX_GROUPS, err) &&
           in_range("the most copies", l->max_copies, 0, PLAN_MAX_COPIES, err);
}

static bool has_draft(const struct plan_record_setup *setup)
{
    return setup->limits[PLAN_DRAFT].max_tokens != 0;
}

static bool read_header(struct plan_record *record, struct error *err)
{
    struct record_header header;
    if (record->map.n_bytes < sizeof header)
        return error_set(err, ERROR_INPUT, "%zu bytes are no record of plans", record->map.n_bytes);
    memcpy(&header, record->map.data, sizeof header);
    if (header.magic != record_magic)
        return error_set(err, ERROR_INPUT, "it is no record of plans (phalanx-rank --record)");
    if (header.version != RECORD_VERSION || header.n_bytes != sizeof header)
        return error_set(err, ERROR_INPUT,
                         "a record of version %u, this program reads version %d: record it again",
                         (unsigned)header.version, RECORD_VERSION);
    if (header.checksum != XXH3_64bits(&header, offsetof(struct record_header, checksum)))
        return error_set(err, ERROR_INPUT, "its header is damaged");
    record->setup = header.setup;
    record->at = sizeof header;
    return limits_check(&header.setup.limits[PLAN_TARGET], err) &&
           (!has_draft(&header.setup) || limits_check(&header.setup.limits[PLAN_DRAFT], err));
}

/* What the next plan is held against. */
struct last_plan {
    uint64_t step;
    int n_carried;
};

/* The plan at record->at, after the checks that make reading it safe. */
static bool check_plan(const struct plan_record *record, struct last_plan *last, struct error *err)
{
    const size_t left = record->map.n_bytes - record->at;
    uint64_t checksum;
    if (left < sizeof checksum + sizeof(struct step_plan))
        return error_set(err, ERROR_INPUT, "%zu bytes follow the last whole plan", left);
    memcpy(&checksum, record->map.data + record->at, sizeof checksum);
    const struct step_plan *plan =
        (const struct step_plan *)(record->map.data + record->at + sizeof checksum);
    if (plan->n_bytes < sizeof *plan || plan->n_bytes > left - sizeof checksum)
        return error_set(err, ERROR_INPUT, "a plan of %u bytes, and %zu are left",
                         (unsigned)plan->n_bytes, left - sizeof checksum);
    if (checksum != XXH3_64bits(plan, plan->n_bytes))
        return error_set(err, ERROR_INPUT, "the bytes of the plan are damaged");
    const bool is_draft = plan->model == PLAN_DRAFT;
    if (is_draft && !has_draft(&record->setup))
        return error_set(err, ERROR_INPUT, "a plan for a draft model, which the record has not");
    struct step_view view;
    if (!plan_check(plan, plan->n_bytes, &record->setup.limits[is_draft ? PLAN_DRAFT : PLAN_TARGET],
                    last->n_carried, &view, err)) {
        err->kind = ERROR_INPUT;
        return false;
    }
    if (plan->step != last->step + 1)
        return error_set(err, ERROR_INPUT, "step %llu comes after step %llu",
                         (unsigned long long)plan->step, (unsigned long long)last->step);
    if (view.stop && plan->n_bytes + sizeof checksum != left)
        return error_set(err, ERROR_INPUT, "it says stop, and is not the last one");
    *last = (struct last_plan){.step = plan->step, .n_carried = plan_n_carried(plan, &view)};
    return true;
}

static bool check_all(struct plan_record *record, struct error *err)
{
    const size_t begin = record->at;
    struct last_plan last = {0};
    for (; record->at < record->map.n_bytes; record->n_plans++) {
        if (!check_plan(record, &last, err))
            return error_in(err, "plan %zu, at byte %zu", record->n_plans + 1, record->at);
        const struct step_plan *plan = plan_record_next(record);
        if (plan->n_bytes > record->max_bytes)
            record->max_bytes = plan->n_bytes;
    }
    record->at = begin;
    return record->n_plans > 0 || error_set(err, ERROR_INPUT, "there are no plans in it");
}

bool plan_record_open(struct plan_record *out, const char *path, struct error *err)
{
    *out = (struct plan_record){0};
    if (!file_map_open(&out->map, path, err))
        return false;
    if (read_header(out, err) && check_all(out, err))
        return true;
    plan_record_close(out);
    return error_in(err, "%s", path);
}

const struct step_plan *plan_record_next(struct plan_record *record)
{
    if (record->at == record->map.n_bytes)
        return NULL;
    const struct step_plan *plan =
        (const struct step_plan *)(record->map.data + record->at + sizeof(uint64_t));
    record->at += sizeof(uint64_t) + plan->n_bytes;
    return plan;
}

void plan_record_close(struct plan_record *record)
{
    file_map_close(&record->map);
    *record = (struct plan_record){0};
}

static bool is_same(const char *what, int64_t recorded, int64_t here, struct error *err)
{
    return recorded == here ||
           error_set(err, ERROR_INPUT, "%s: the record has %lld, the model %lld", what,
                     (long long)recorded, (long long)here);
}

bool plan_record_fits(const struct plan_record *record, enum plan_model model,
                      const struct plan_limits *limits, struct error *err)
{
    const struct plan_limits *recorded = &record->setup.limits[model];
    if ((limits != NULL) != (recorded->max_tokens != 0))
        return error_set(
            err, ERROR_INPUT,
            limits ? "the record has no plans for a draft model"
                   : "the record has plans for a draft model: name it, --speculative-model");
    if (limits == NULL)
        return true;
    if (!is_same("vocabulary", recorded->vocab, limits->vocab, err) ||
        !is_same("KV groups", recorded->n_kv_groups, limits->n_kv_groups, err))
        return false;
    if (recorded->max_model_len > limits->max_model_len)
        return error_set(err, ERROR_INPUT,
                         "the record has sequences of up to %d tokens, the model of %d",
                         recorded->max_model_len, limits->max_model_len);
    for (int g = 0; g < limits->n_kv_groups; g++)
        if (!is_same("a window", recorded->kv_window[g], limits->kv_window[g], err))
            return false;
    return true;
}
