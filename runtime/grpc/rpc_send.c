/* Messages wait here, one is with gRPC at a time; `send_next` alone decides what goes next. */
#include "base/memory.h"
#include "base/system.h"
#include "proto/status.h"
#include "runtime/api/admission.h"
#include "runtime/api/api.h"
#include "runtime/grpc/rpc_state.h"

#include <grpc/byte_buffer.h>
#include <stdio.h>
#include <string.h>

/* Of a client that reads so many times as much is held as of one that does not. */
enum { TIMES_OF_READERS = 4 };
enum { MS_OF_S = 1000 };

/* ---- the status ---- */

static grpc_slice text_slice(const char *text)
{
    return grpc_slice_from_copied_buffer(text, strlen(text));
}

struct ending { /* what a status consists of, until its batch was started */
    grpc_metadata metadata[3];
    grpc_slice details;
    size_t n;
};

static void add_metadata(struct ending *ending, const char *key, const char *value)
{
    ending->metadata[ending->n].key = text_slice(key);
    ending->metadata[ending->n].value = text_slice(value);
    ending->n++;
}

static grpc_op status_op(const struct rpc *rpc, struct ending *ending)
{
    const struct error *why = &rpc->why;
    const struct api *api = rpc->server->settings.api;
    *ending = (struct ending){.details = text_slice(why->text)};
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    if (why->kind != ERROR_NONE) {
        const struct status status = status_of(why);
        op.data.send_status_from_server.status = (grpc_status_code)status.grpc;
        if (*why->param != '\0')
            add_metadata(ending, "phalanx-param", why->param);
        if (*why->code != '\0')
            add_metadata(ending, "phalanx-code", why->code);
        if (status.grpc == GRPC_STATUS_RESOURCE_EXHAUSTED && why->kind == ERROR_LIMIT) {
            char ms[16]; /* what clients that retry by themselves look at */
            snprintf(ms, sizeof ms, "%d", admission_retry_after_s(api->admission) * MS_OF_S);
            add_metadata(ending, "grpc-retry-pushback-ms", ms);
        }
        op.data.send_status_from_server.status_details = &ending->details;
    }
    op.data.send_status_from_server.trailing_metadata = ending->metadata;
    op.data.send_status_from_server.trailing_metadata_count = ending->n;
    return op;
}

static void release_ending(struct ending *ending)
{
    for (size_t i = 0; i < ending->n; i++) {
        grpc_slice_unref(ending->metadata[i].key);
        grpc_slice_unref(ending->metadata[i].value);
    }
    grpc_slice_unref(ending->details);
}

/* ---- messages ---- */

void rpc_drop_messages(struct rpc *rpc)
{
    while (rpc->first != NULL) {
        struct rpc_message *message = rpc->first;
        rpc->first = message->next;
        grpc_byte_buffer_destroy(message->bytes);
        memory_free(message);
    }
    rpc->last = NULL;
    rpc->n_queued = 0;
    rpc->queued_bytes = 0;
}

static void hurry(struct rpc *rpc, bool is_hurried)
{
    if (rpc->is_hurried == is_hurried)
        return;
    rpc->is_hurried = is_hurried;
    event_relay_hurry(&rpc->server->relay, is_hurried ? 1 : -1);
}

static void send_next(struct rpc *rpc);

static void on_sent(struct rpc *rpc, bool ok)
{
    rpc->is_sending = false;
    hurry(rpc, false);
    grpc_byte_buffer_destroy(rpc->sending);
    rpc->sending = NULL;
    if (ok && !rpc->is_over)
        send_next(rpc);
    rpc_free_when_done(rpc);
}

/* One batch: the metadata if it is the first one, a message, and the status behind the last one. */
static void send_next(struct rpc *rpc)
{
    struct rpc_message *message = rpc->first;
    const bool ends =
        rpc->is_ended && !rpc->has_status && (message == NULL || message->next == NULL);
    if (rpc->is_over || (message == NULL && !ends))
        return;
    if (rpc->is_sending) {
        hurry(rpc, true);
        return;
    }
    struct ending ending = {.n = 0};
    grpc_op op[3];
    size_t n = 0;
    if (!rpc->has_sent_metadata)
        op[n++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    rpc->has_sent_metadata = true;
    if (message != NULL) {
        op[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE,
                          .flags = message->waits_for_next ? GRPC_WRITE_BUFFER_HINT : 0};
        op[n++].data.send_message.send_message = rpc->sending = message->bytes;
        rpc->first = message->next;
        rpc->last = rpc->first == NULL ? NULL : rpc->last;
        rpc->n_queued--;
        rpc->queued_bytes -= message->n_bytes;
        memory_free(message);
    }
    if (ends)
        op[n++] = status_op(rpc, &ending);
    rpc->has_status = rpc->has_status || ends;
    rpc->is_sending = true;
    rpc->sent_ns = clock_now_ns();
    /* the end of a call is waited for, that of a message only when there is more to send */
    rpc->send.is_patient = !ends;
    rpc_start_batch(rpc, op, n, &rpc->send, on_sent);
    hurry(rpc, rpc->first != NULL || (rpc->is_ended && !rpc->has_status));
    if (ends)
        release_ending(&ending);
}

/* What gRPC has was given to it a moment ago, so the one before has gone out: the client reads. */
static bool reads(const struct rpc *rpc)
{
    return clock_now_ns() - rpc->sent_ns < rpc->server->settings.limits.not_read_ns;
}

static bool has_room(const struct rpc *rpc, size_t n_bytes, size_t times)
{
    const struct rpc_limits *limits = &rpc->server->settings.limits;
    return (size_t)rpc->n_queued < times * (size_t)limits->max_queued &&
           rpc->queued_bytes + n_bytes <= times * limits->max_queued_bytes;
}

static bool add_message(struct rpc *rpc, const struct bytes *message, bool waits_for_next)
{
    if (rpc->is_ended)
        return false;
    if (rpc->n_queued > 0 && !has_room(rpc, message->len, 1) &&
        !(reads(rpc) && has_room(rpc, message->len, TIMES_OF_READERS))) {
        rpc_cancel(rpc, GRPC_STATUS_RESOURCE_EXHAUSTED,
                   "the client does not read what it asked for");
        return false;
    }
    struct rpc_message *queued = memory_alloc(1, sizeof *queued);
    grpc_slice slice = grpc_slice_from_copied_buffer(message->data, message->len);
    queued->bytes = grpc_raw_byte_buffer_create(&slice, 1);
    queued->n_bytes = message->len;
    queued->waits_for_next = waits_for_next;
    grpc_slice_unref(slice);
    if (rpc->last == NULL)
        rpc->first = queued;
    else
        rpc->last->next = queued;
    rpc->last = queued;
    rpc->n_queued++;
    rpc->queued_bytes += message->len;
    send_next(rpc);
    return true;
}

bool rpc_send(struct rpc *rpc, const struct bytes *message)
{
    return add_message(rpc, message, false);
}

bool rpc_send_with_next(struct rpc *rpc, const struct bytes *message)
{
    return add_message(rpc, message, true);
}

void rpc_end(struct rpc *rpc, const struct error *why)
{
    if (rpc->is_ended)
        return;
    rpc->is_ended = true;
    if (why != NULL)
        rpc->why = *why;
    send_next(rpc);
}

void rpc_cancel(struct rpc *rpc, int grpc_status, const char *text)
{
    if (rpc->is_over)
        return;
    rpc->is_ended = true;
    rpc->has_status = true;
    rpc->is_cut = grpc_status != GRPC_STATUS_CANCELLED;
    if (rpc->is_cut)
        error_set(&rpc->record.failure, ERROR_LIMIT, "%s", text);
    rpc_drop_messages(rpc);
    grpc_call_cancel_with_status(rpc->call, (grpc_status_code)grpc_status, text, NULL);
}
