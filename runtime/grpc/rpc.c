/* The order in which batches come back is gRPC's, so each looks at what the others left: a call is
 * freed when its close came and no batch is out, and `send_next` alone decides what goes next. */
#include "runtime/grpc/rpc.h"

#include "base/check.h"
#include "base/system.h"
#include "proto/status.h"
#include "runtime/api/admission.h"
#include "runtime/api/api.h"
#include "runtime/grpc/rpc_state.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_AUTHORIZATION_BYTES = 4096,
    KEPT_BYTES = 1 << 20, /* of memory for one message, until the next one */
    MS_OF_S = 1000,
    NS_OF_MS = 1000000,
};

static void start_batch(struct rpc *rpc, const grpc_op *op, size_t n, struct rpc_batch *batch,
                        void (*done)(struct rpc *, bool))
{
    *batch = (struct rpc_batch){.done = done, .rpc = rpc};
    rpc->n_batches++;
    check(grpc_call_start_batch(rpc->call, op, n, batch, NULL) == GRPC_CALL_OK);
}

/* ---- the end ---- */

static void drop_messages(struct rpc *rpc)
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

static void free_rpc(struct rpc *rpc)
{
    struct rpc_server *server = rpc->server;
    if (rpc->method != NULL && rpc->method->tick != NULL)
        event_relay_tick(&server->relay, -1);
    if (rpc->call != NULL) {
        server->n_calls--;
        grpc_call_unref(rpc->call);
    }
    drop_messages(rpc);
    grpc_byte_buffer_destroy(rpc->received);
    grpc_byte_buffer_destroy(rpc->sending);
    grpc_metadata_array_destroy(&rpc->metadata);
    grpc_call_details_destroy(&rpc->details);
    if (rpc->previous != NULL)
        rpc->previous->next = rpc->next;
    else
        server->first = rpc->next;
    if (rpc->next != NULL)
        rpc->next->previous = rpc->previous;
    memory_free(rpc);
}

static void free_when_done(struct rpc *rpc)
{
    if (rpc->is_over && rpc->n_batches == 0)
        free_rpc(rpc);
}

static void on_close(struct rpc *rpc, bool ok)
{
    (void)ok; /* it always is */
    rpc->is_over = true;
    rpc->is_ended = true;
    drop_messages(rpc);
    if (rpc->method != NULL && rpc->method->closed != NULL)
        rpc->method->closed(rpc);
    rpc->data = NULL;
    rpc_log_end(rpc);
    free_when_done(rpc);
}

/* ---- sending ---- */

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

static void send_next(struct rpc *rpc);

static void on_sent(struct rpc *rpc, bool ok)
{
    rpc->is_sending = false;
    grpc_byte_buffer_destroy(rpc->sending);
    rpc->sending = NULL;
    if (ok && !rpc->is_over)
        send_next(rpc);
    free_when_done(rpc);
}

/* One batch: the metadata if it is the first one, a message, and the status behind the last one. */
static void send_next(struct rpc *rpc)
{
    struct rpc_message *message = rpc->first;
    const bool ends =
        rpc->is_ended && !rpc->has_status && (message == NULL || message->next == NULL);
    if (rpc->is_sending || rpc->is_over || (message == NULL && !ends))
        return;
    struct ending ending = {.n = 0};
    grpc_op op[3];
    size_t n = 0;
    if (!rpc->has_sent_metadata)
        op[n++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    rpc->has_sent_metadata = true;
    if (message != NULL) {
        op[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
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
    start_batch(rpc, op, n, &rpc->send, on_sent);
    if (ends)
        release_ending(&ending);
}

bool rpc_send(struct rpc *rpc, const struct bytes *message)
{
    const struct rpc_limits *limits = &rpc->server->settings.limits;
    if (rpc->is_ended)
        return false;
    if (rpc->n_queued > 0 && (rpc->n_queued >= limits->max_queued ||
                              rpc->queued_bytes + message->len > limits->max_queued_bytes)) {
        rpc_cancel(rpc, GRPC_STATUS_RESOURCE_EXHAUSTED,
                   "the client does not read what it asked for");
        return false;
    }
    struct rpc_message *queued = memory_alloc(1, sizeof *queued);
    grpc_slice slice = grpc_slice_from_copied_buffer(message->data, message->len);
    queued->bytes = grpc_raw_byte_buffer_create(&slice, 1);
    queued->n_bytes = message->len;
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
    drop_messages(rpc);
    grpc_call_cancel_with_status(rpc->call, (grpc_status_code)grpc_status, text, NULL);
}

/* ---- receiving ---- */

static void receive(struct rpc *rpc);

static void no_message(struct rpc *rpc)
{
    struct error err = {0};
    /* Where gRPC refused the message it has told the client why. */
    if (grpc_call_failed_before_recv_message(rpc->call))
        return;
    if (!rpc->method->takes_many)
        error_set(&err, ERROR_INPUT, "the call came without a message");
    rpc_end(rpc, rpc->method->takes_many ? NULL : &err);
}

static void on_received(struct rpc *rpc, bool ok)
{
    grpc_byte_buffer *received = rpc->received;
    rpc->received = NULL;
    if (ok && received == NULL && !rpc->is_ended) {
        no_message(rpc);
    } else if (ok && received != NULL && !rpc->is_ended) {
        grpc_byte_buffer_reader reader;
        struct error err = {0};
        if (grpc_byte_buffer_reader_init(&reader, received)) {
            grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
            rpc->has_request = true;
            rpc->method->request(rpc, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
            grpc_slice_unref(slice);
            grpc_byte_buffer_reader_destroy(&reader);
            if (rpc->method->takes_many && !rpc->is_ended)
                receive(rpc);
        } else {
            error_set(&err, ERROR_INPUT, "the message is not compressed as it says");
            rpc_end(rpc, &err);
        }
    }
    grpc_byte_buffer_destroy(received);
    free_when_done(rpc);
}

static void receive(struct rpc *rpc)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &rpc->received;
    start_batch(rpc, &op, 1, &rpc->receive, on_received);
}

/* ---- a new call ---- */

/* "ipv4:127.0.0.1:4711", "ipv6:%5B::1%5D:4711" */
static void set_peer(struct rpc *rpc)
{
    char *peer = grpc_call_get_peer(rpc->call);
    const char *from = strchr(peer, ':');
    from = from == NULL ? peer : from + 1;
    size_t n = 0;
    while (*from != '\0' && n + 1 < sizeof rpc->peer) {
        const bool is_open = strncmp(from, "%5B", 3) == 0;
        const bool is_bracket = is_open || strncmp(from, "%5D", 3) == 0;
        rpc->peer[n++] = !is_bracket ? *from : is_open ? '[' : ']';
        from += is_bracket ? 3 : 1;
    }
    rpc->peer[n] = '\0';
    gpr_free(peer);
}

/* The value of "authorization", or NULL; cut ones fit no key. */
static const char *authorization(const struct rpc *rpc, char *out)
{
    for (size_t i = 0; i < rpc->metadata.count; i++) {
        const grpc_metadata *entry = &rpc->metadata.metadata[i];
        if (grpc_slice_str_cmp(entry->key, "authorization") != 0)
            continue;
        const size_t n = GRPC_SLICE_LENGTH(entry->value);
        if (n >= MAX_AUTHORIZATION_BYTES)
            return "";
        memcpy(out, GRPC_SLICE_START_PTR(entry->value), n);
        out[n] = '\0';
        return out;
    }
    return NULL;
}

bool rpc_say_draining(struct error *err)
{
    error_set(err, ERROR_LIMIT, "the server is about to end and takes no new calls");
    return error_code(err, "draining");
}

static bool may_ask(struct rpc *rpc, const struct rpc_method *method, struct error *err)
{
    const struct rpc_settings *settings = &rpc->server->settings;
    char buffer[MAX_AUTHORIZATION_BYTES];
    if (rpc->server->n_calls > settings->limits.max_calls)
        return error_set(err, ERROR_LIMIT, "%d calls are open, and no more are taken",
                         settings->limits.max_calls);
    if ((method == NULL || !method->is_open) && settings->allow != NULL &&
        !settings->allow(settings->context, authorization(rpc, buffer), &rpc->tenant)) {
        error_set(err, ERROR_INPUT,
                  "a key is missing or wrong: send the metadata "
                  "\"authorization: Bearer KEY\"");
        return error_code(err, "unauthorized");
    }
    if (rpc->server->is_draining && (method == NULL || !method->is_open || method->is_endless))
        return rpc_say_draining(err);
    if (method != NULL)
        return true;
    error_set(err, ERROR_INPUT, "there is no method %.*s",
              (int)(GRPC_SLICE_LENGTH(rpc->details.method) < 200
                        ? GRPC_SLICE_LENGTH(rpc->details.method)
                        : 200),
              (const char *)GRPC_SLICE_START_PTR(rpc->details.method));
    return error_code(err, "not_found");
}

static void on_new_call(struct rpc *rpc, bool ok)
{
    if (!ok) { /* the server ends */
        rpc->is_over = true;
        free_when_done(rpc);
        return;
    }
    struct error err = {0};
    rpc->server->n_calls++;
    rpc->arrived_ns = clock_now_ns();
    if (!rpc->server->is_closing)
        rpc_wait(rpc->server);
    set_peer(rpc);
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &rpc->close_cancelled;
    start_batch(rpc, &op, 1, &rpc->close, on_close);
    const struct rpc_method *method =
        rpc_method_find((const char *)GRPC_SLICE_START_PTR(rpc->details.method),
                        GRPC_SLICE_LENGTH(rpc->details.method));
    if (!may_ask(rpc, method, &err)) {
        rpc_end(rpc, &err);
        return;
    }
    rpc->method = method;
    if (method->tick != NULL)
        event_relay_tick(&rpc->server->relay, 1);
    receive(rpc);
}

void rpc_wait(struct rpc_server *server)
{
    struct rpc *rpc = memory_alloc(1, sizeof *rpc);
    rpc->server = server;
    grpc_call_details_init(&rpc->details);
    grpc_metadata_array_init(&rpc->metadata);
    rpc->next = server->first;
    if (rpc->next != NULL)
        rpc->next->previous = rpc;
    server->first = rpc;
    rpc->wait = (struct rpc_batch){.done = on_new_call, .rpc = rpc};
    rpc->n_batches = 1;
    check(grpc_server_request_call(server->grpc, &rpc->call, &rpc->details, &rpc->metadata,
                                   server->queue, server->queue, &rpc->wait) == GRPC_CALL_OK);
}

/* ---- what methods ask ---- */

struct rpc_server *rpc_server_of(const struct rpc *rpc) { return rpc->server; }
const struct rpc_settings *rpc_settings_of(const struct rpc *rpc) { return &rpc->server->settings; }
struct api *rpc_api(const struct rpc *rpc) { return rpc->server->settings.api; }
uint64_t rpc_tenant(const struct rpc *rpc) { return rpc->tenant; }
const char *rpc_peer(const struct rpc *rpc) { return rpc->peer; }
struct request_record *rpc_record(struct rpc *rpc) { return &rpc->record; }
const struct rpc_method *rpc_method_of(const struct rpc *rpc) { return rpc->method; }

int64_t rpc_deadline_ms(const struct rpc *rpc)
{
    const gpr_timespec deadline =
        gpr_convert_clock_type(rpc->details.deadline, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return INT64_MAX;
    const gpr_timespec left = gpr_time_sub(deadline, gpr_now(GPR_CLOCK_MONOTONIC));
    const int64_t ms = left.tv_sec * MS_OF_S + left.tv_nsec / NS_OF_MS;
    return ms < 1 ? 1 : ms;
}

void rpc_set_data(struct rpc *rpc, void *data) { rpc->data = data; }
void *rpc_data(const struct rpc *rpc) { return rpc->data; }

struct rpc *rpc_next(const struct rpc_server *server, const struct rpc *rpc)
{
    return rpc == NULL ? server->first : rpc->next;
}

struct arena *rpc_scratch(const struct rpc *rpc)
{
    struct arena *scratch = &rpc->server->scratch;
    if (scratch->total_bytes > KEPT_BYTES)
        arena_release(scratch);
    else
        arena_reset(scratch);
    return scratch;
}
struct bytes *rpc_buffer(const struct rpc *rpc)
{
    struct bytes *buffer = &rpc->server->buffer;
    if (buffer->capacity > KEPT_BYTES)
        bytes_release(buffer);
    bytes_clear(buffer);
    return buffer;
}
