#include "launcher/batch/results.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "launcher/batch/marks.h"

#include <stdio.h>
#include <string.h>

enum { MAX_HELD_BYTES = 256 << 20 };

struct held { /* an answer that waits */
    bool is_error;
    size_t n_bytes;
    char text[];
};

static bool has_journal(const struct batch_results *results)
{
    return results->settings.journal != NULL;
}

/* ---- the files of the user ---- */

static bool open_files(struct batch_results *r, struct error *err)
{
    return whole_file_open(&r->out, r->settings.output, err) &&
           (r->settings.error_file == NULL ||
            whole_file_open(&r->errors, r->settings.error_file, err));
}

static void close_files(struct batch_results *r)
{
    whole_file_close(&r->out);
    whole_file_close(&r->errors);
}

static bool write_line(struct batch_results *r, bool is_error, const char *text, size_t n_bytes,
                       struct error *err)
{
    struct whole_file *file = is_error && r->settings.error_file != NULL ? &r->errors : &r->out;
    return whole_file_write(file, text, n_bytes, err) && whole_file_write(file, "\n", 1, err);
}

/* The errors first: who sees the output finds all there is. */
static bool commit_files(struct batch_results *r, struct error *err)
{
    return (r->settings.error_file == NULL || whole_file_commit(&r->errors, err)) &&
           whole_file_commit(&r->out, err);
}

/* ---- open ---- */

bool batch_results_open(struct batch_results *out, const struct results_settings *settings,
                        struct error *err)
{
    *out = (struct batch_results){.settings = *settings};
    batch_order_init(&out->order);
    if (has_journal(out) &&
        !batch_journal_open(&out->log, settings->journal, settings->sync_every_s, &out->marks, err))
        return false; /* it is the lock, too: nobody else writes to the files now */
    if (!open_files(out, err))
        return false;
    if (has_journal(out))
        close_files(out); /* they can be written: that is all that matters now */
    return true;
}

static bool goes_on(const struct batch_results *results)
{
    return results->marks.len > 0 && !results->settings.restart;
}

bool batch_results_check(const struct batch_results *results, const json_t *marks,
                         struct error *err)
{
    json_t *then;
    if (!goes_on(results))
        return true;
    if (!batch_marks_read(&then, &results->marks, results->settings.journal, err))
        return false;
    const bool same = batch_marks_are_same(then, marks, results->settings.journal, err);
    json_decref(then);
    return same;
}

static void count(struct batch_results *r, bool is_error)
{
    r->n_answered++;
    r->n_failed += is_error;
}

static void tell_torn(const struct batch_results *r, uint64_t end)
{
    char text[160];
    snprintf(text, sizeof text,
             "%.80s: what was being written at its end is dropped, from byte %llu",
             r->settings.journal, (unsigned long long)end);
    log_tell("phalanx", text);
}

/* Reads what is there, and cuts off what is not whole. */
static bool read_journal(struct batch_results *r, struct error *err)
{
    uint64_t at = 0, ignored;
    struct batch_record record;
    bool got;
    for (;;) {
        const uint64_t begin = at;
        if (!batch_journal_next(&r->log, &at, &record, &got, err))
            return false;
        if (got && record.kind == RECORD_MARKS)
            continue;
        if (!got || !batch_order_put(&r->order, record.number, 0)) {
            if (batch_journal_size(&r->log) > begin)
                tell_torn(r, begin);
            r->n_found = r->n_answered;
            return batch_journal_cut(&r->log, begin, err);
        }
        count(r, record.kind == RECORD_ERROR);
        while (batch_order_take(&r->order, &ignored))
            continue;
    }
}

bool batch_results_begin(struct batch_results *results, json_t *marks, struct error *err)
{
    json_t *then;
    if (!has_journal(results))
        return true;
    if (goes_on(results)) {
        if (!batch_results_check(results, marks, err) ||
            !batch_marks_read(&then, &results->marks, results->settings.journal, err))
            return false;
        batch_marks_set_begin(marks, batch_marks_begin(then));
        json_decref(then);
        return read_journal(results, err);
    }
    bytes_clear(&results->marks);
    batch_marks_write(&results->marks, marks);
    return batch_journal_begin(&results->log, &results->marks, err);
}

/* ---- answers ---- */

bool batch_results_have_room(const struct batch_results *results, uint64_t number)
{
    return batch_order_has_room(&results->order, number) && results->held_bytes < MAX_HELD_BYTES;
}

bool batch_results_have(const struct batch_results *results, uint64_t number)
{
    return batch_order_has(&results->order, number);
}

static bool hold(struct batch_results *r, uint64_t number, bool is_error, const struct bytes *line,
                 struct error *err)
{
    bool good = true;
    uint64_t next;
    struct held *held = memory_alloc(1, sizeof *held + line->len);
    held->is_error = is_error;
    held->n_bytes = line->len;
    memcpy(held->text, line->data, line->len);
    r->held_bytes += held->n_bytes;
    batch_order_put(&r->order, number, (uint64_t)(uintptr_t)held);
    while (good && batch_order_take(&r->order, &next)) {
        held = (struct held *)(uintptr_t)next;
        good = write_line(r, held->is_error, held->text, held->n_bytes, err);
        r->held_bytes -= held->n_bytes;
        memory_free(held);
    }
    return good;
}

bool batch_results_put(struct batch_results *results, uint64_t number, bool is_error,
                       const struct bytes *line, struct error *err)
{
    uint64_t ignored;
    if (!has_journal(results)) {
        count(results, is_error);
        return hold(results, number, is_error, line, err);
    }
    if (!batch_journal_append(&results->log, is_error ? RECORD_ERROR : RECORD_ANSWER, number,
                              line->data, line->len, err))
        return false;
    count(results, is_error);
    batch_order_put(&results->order, number, 0);
    while (batch_order_take(&results->order, &ignored))
        continue;
    return true;
}

bool batch_results_sync(struct batch_results *results, bool now, struct error *err)
{
    if (has_journal(results))
        return batch_journal_sync(&results->log, now, err);
    return whole_file_flush(&results->out, err) &&
           (results->settings.error_file == NULL || whole_file_flush(&results->errors, err));
}

/* ---- the end ---- */

static bool copy_record(struct batch_results *r, uint64_t at, struct bytes *text, struct error *err)
{
    struct batch_record record;
    bool got;
    bytes_clear(text);
    if (!batch_journal_next(&r->log, &at, &record, &got, err) ||
        (got && !batch_journal_payload(&r->log, &record, text, err)))
        return false;
    if (!got)
        return error_set(err, ERROR_SYSTEM, "%s: it was changed while it was read",
                         r->settings.journal);
    return write_line(r, record.kind == RECORD_ERROR, text->data, text->len, err);
}

/* The records are nearly in order: of each the place in the journal is kept until its turn. */
static bool copy_in_order(struct batch_results *r, struct batch_order *order, struct bytes *text,
                          struct error *err)
{
    uint64_t at = 0, next;
    struct batch_record record;
    bool got = true;
    for (;;) {
        const uint64_t begin = at;
        if (!batch_journal_next(&r->log, &at, &record, &got, err))
            return false;
        if (!got)
            break;
        if (record.kind != RECORD_MARKS)
            batch_order_put(order, record.number, begin);
        while (batch_order_take(order, &next))
            if (!copy_record(r, next, text, err))
                return false;
    }
    return order->first == r->n_answered ||
           error_set(err, ERROR_SYSTEM, "%s: %llu answers, and %llu in order", r->settings.journal,
                     (unsigned long long)r->n_answered, (unsigned long long)order->first);
}

static bool publish(struct batch_results *r, struct error *err)
{
    struct batch_order order;
    struct bytes text = {0};
    batch_order_init(&order);
    const bool good = batch_journal_sync(&r->log, true, err) && open_files(r, err) &&
                      copy_in_order(r, &order, &text, err);
    batch_order_release(&order);
    bytes_release(&text);
    return good;
}

bool batch_results_finish(struct batch_results *results, struct error *err)
{
    if (!has_journal(results))
        return commit_files(results, err);
    return publish(results, err) && commit_files(results, err) &&
           batch_journal_remove(&results->log, err);
}

void batch_results_close(struct batch_results *results)
{
    for (uint64_t i = 0; !has_journal(results) && i < ORDER_AHEAD && results->order.slot != NULL;
         i++)
        if (results->order.slot[i].is_there)
            memory_free((void *)(uintptr_t)results->order.slot[i].value);
    batch_order_release(&results->order);
    batch_journal_close(&results->log);
    close_files(results);
    bytes_release(&results->marks);
}
