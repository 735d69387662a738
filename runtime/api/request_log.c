#include "runtime/api/request_log.h"

#include "base/log.h"

enum { MAX_FIELDS = 16, STATUS_CLIENT_GONE = 499 };
static const double NS_PER_MS = 1e6;

struct fields {
    struct log_field field[MAX_FIELDS];
    int n;
};

static void add_text(struct fields *fields, const char *name, const char *text)
{
    if (text != NULL)
        fields->field[fields->n++] = (struct log_field){.name = name, .text = text};
}

static void add_number(struct fields *fields, const char *name, int64_t number)
{
    fields->field[fields->n++] = (struct log_field){.name = name, .number = (double)number};
}

static void add_ms(struct fields *fields, const char *name, int64_t ns)
{
    if (ns >= 0)
        fields->field[fields->n++] =
            (struct log_field){.name = name, .number = (double)ns / NS_PER_MS, .decimals = 1};
}

static void add_answer(struct fields *fields, const struct request_record *record)
{
    add_number(fields, "prompt_tokens", record->prompt_tokens);
    add_number(fields, "cached_tokens", record->cached_tokens);
    add_number(fields, "output_tokens", record->output_tokens);
    add_number(fields, "choices", record->n_choices);
    add_text(fields, "finish", record->finish);
    add_ms(fields, "queue_ms", record->queue_ns);
    add_ms(fields, "ttft_ms", record->first_token_ns);
}

void request_log_write(const struct api *api, const struct request_log_entry *entry)
{
    const struct request_record *record = entry->record;
    struct fields fields = {.n = 0};
    if (!api->logs_requests)
        return;
    add_text(&fields, "id", *record->id != '\0' ? record->id : NULL);
    add_text(&fields, "method", entry->method);
    add_text(&fields, "route", entry->route);
    add_text(&fields, "peer", entry->peer);
    if (record->was_sent)
        add_text(&fields, "model", api->model.n_names > 0 ? api->model.name[0] : "");
    add_number(&fields, "status", entry->was_cancelled ? STATUS_CLIENT_GONE : entry->status);
    if (record->was_sent)
        add_answer(&fields, record);
    add_ms(&fields, "total_ms", entry->total_ns);
    if (record->failure.kind != ERROR_NONE)
        add_text(&fields, "error", record->failure.text);
    log_write_fields(entry->is_probe ? LOG_DEBUG : LOG_INFO, "request",
                     entry->was_cancelled ? "cancelled" : "ended", fields.field, fields.n);
}
