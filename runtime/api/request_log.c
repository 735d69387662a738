#include "runtime/api/request_log.h"

#include "base/log.h"
#include "proto/status.h"

enum { MAX_FIELDS = 16, STATUS_DONE = 200, STATUS_CLIENT_GONE = 499 };
static const double NS_PER_MS = 1e6;

static int status_number(const struct request_log_entry *entry)
{
    if (entry->was_cancelled)
        return STATUS_CLIENT_GONE;
    return entry->failure != NULL ? status_of(entry->failure).http : STATUS_DONE;
}

void request_log_write(const struct request_log_entry *entry)
{
    struct log_field field[MAX_FIELDS];
    int n = 0;
    field[n++] = (struct log_field){.name = "id", .text = entry->source->request_id};
    field[n++] = (struct log_field){.name = "route", .text = entry->source->route};
    field[n++] = (struct log_field){.name = "peer", .text = entry->source->peer};
    field[n++] = (struct log_field){.name = "model", .text = entry->model};
    field[n++] = (struct log_field){.name = "status", .number = status_number(entry)};
    field[n++] =
        (struct log_field){.name = "prompt_tokens", .number = (double)entry->prompt_tokens};
    field[n++] =
        (struct log_field){.name = "cached_tokens", .number = (double)entry->cached_tokens};
    field[n++] =
        (struct log_field){.name = "output_tokens", .number = (double)entry->output_tokens};
    field[n++] = (struct log_field){.name = "choices", .number = entry->n_choices};
    field[n++] = (struct log_field){.name = "finish", .text = entry->finish};
    if (entry->queue_ns >= 0)
        field[n++] = (struct log_field){
            .name = "queue_ms", .number = (double)entry->queue_ns / NS_PER_MS, .decimals = 1};
    if (entry->first_token_ns >= 0)
        field[n++] = (struct log_field){
            .name = "ttft_ms", .number = (double)entry->first_token_ns / NS_PER_MS, .decimals = 1};
    field[n++] = (struct log_field){
        .name = "total_ms", .number = (double)entry->total_ns / NS_PER_MS, .decimals = 1};
    if (entry->failure != NULL)
        field[n++] = (struct log_field){.name = "error", .text = entry->failure->text};
    log_write_fields(LOG_INFO, "request", entry->was_cancelled ? "cancelled" : "ended", field, n);
}
