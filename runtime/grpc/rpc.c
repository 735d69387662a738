/* The order in which batches come back is gRPC's, so each looks at what the others left: a call is
 * freed when its close came and no batch is out. */
#include "runtime/grpc/rpc.h"

#include "base/check.h"
#include "runtime/grpc/rpc_state.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/time.h>

enum {
    KEPT_BYTES = 1 << 20, /* of memory for one message, until the next one */
    MS_OF_S = 1000,
    NS_OF_MS = 1000000,
};

void rpc_start_batch(struct rpc *rpc, const grpc_op *op, size_t n, struct rpc_batch *batch,
                     void (*done)(struct rpc *, bool))
{
    void *tag = batch->is_patient ? event_relay_patient(batch) : batch;
    batch->done = done;
    batch->rpc = rpc;
    rpc->n_batches++;
    check(grpc_call_start_batch(rpc->call, op, n, tag, NULL) == GRPC_CALL_OK);
}

/* ---- the end ---- */

static void free_rpc(struct rpc *rpc)
{
    struct rpc_server *server = rpc->server;
    if (rpc->method != NULL && rpc->method->tick != NULL)
        event_relay_tick(&server->relay, -1);
    if (rpc->call != NULL) {
        server->n_calls--;
        grpc_call_unref(rpc->call);
    }
    rpc_drop_messages(rpc);
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

void rpc_free_when_done(struct rpc *rpc)
{
    if (rpc->is_over && rpc->n_batches == 0)
        free_rpc(rpc);
}

static void on_close(struct rpc *rpc, bool ok)
{
    (void)ok; /* it always is */
    rpc->is_over = true;
    rpc->is_ended = true;
    rpc_drop_messages(rpc);
    if (rpc->method != NULL && rpc->method->closed != NULL)
        rpc->method->closed(rpc);
    rpc->data = NULL;
    rpc_log_end(rpc);
    rpc_free_when_done(rpc);
}

void rpc_watch_close(struct rpc *rpc)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &rpc->close_cancelled;
    rpc_start_batch(rpc, &op, 1, &rpc->close, on_close);
}

/* ---- receiving ---- */

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
                rpc_receive(rpc);
        } else {
            error_set(&err, ERROR_INPUT, "the message is not compressed as it says");
            rpc_end(rpc, &err);
        }
    }
    grpc_byte_buffer_destroy(received);
    rpc_free_when_done(rpc);
}

void rpc_receive(struct rpc *rpc)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &rpc->received;
    rpc_start_batch(rpc, &op, 1, &rpc->receive, on_received);
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
