#include "tests/unit/runtime_grpc/rpc_client.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "tests/test.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <string.h>

struct tag { /* of a batch of the client */
    struct rpc_client *client;
    enum { TAG_BEGIN, TAG_MESSAGE, TAG_END } kind;
};

/* ---- the world ---- */

static bool allow(void *context, const char *authorization, uint64_t *tenant)
{
    const struct rpc_world *world = context;
    *tenant = authorization == NULL ? 0 : strlen(authorization);
    return world->key == NULL ||
           (authorization != NULL && strncmp(authorization, world->key, strlen(world->key)) == 0);
}

static bool is_ready(void *context) { return ((const struct rpc_world *)context)->is_ready; }

void world_open(struct rpc_world *world, const struct rpc_limits *limits, const char *key)
{
    struct error err = {0};
    *world = (struct rpc_world){.is_ready = true, .key = key};
    fake_api_open(&world->fake);
    const struct rpc_settings settings = {.host = "127.0.0.1",
                                          .limits = limits == NULL ? rpc_limits_default() : *limits,
                                          .version = "1.2.3",
                                          .api = &world->fake.api,
                                          .allow = allow,
                                          .is_ready = is_ready,
                                          .context = world};
    char target[64];
    if (!rpc_server_open(&world->server, &settings, &err) || !rpc_server_start(world->server, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    snprintf(target, sizeof target, "127.0.0.1:%d", rpc_server_port(world->server));
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    world->channel = grpc_channel_create(target, credentials, NULL);
    grpc_channel_credentials_release(credentials);
    world->queue = grpc_completion_queue_create_for_next(NULL);
}

void world_close(struct rpc_world *world)
{
    const gpr_timespec for_ever = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    grpc_channel_destroy(world->channel);
    grpc_completion_queue_shutdown(world->queue);
    while (grpc_completion_queue_next(world->queue, for_ever, NULL).type != GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(world->queue);
    rpc_server_close(world->server);
    fake_api_close(&world->fake);
}

/* ---- what comes back ---- */

void client_read(struct rpc_client *client)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    struct tag *tag = memory_alloc(1, sizeof *tag);
    *tag = (struct tag){client, TAG_MESSAGE};
    op.data.recv_message.recv_message = &client->received;
    CHECK_EQ(grpc_call_start_batch(client->call, &op, 1, tag, NULL), GRPC_CALL_OK);
}

static void take_message(struct rpc_client *client)
{
    grpc_byte_buffer_reader reader;
    if (client->received == NULL)
        return;
    CHECK(grpc_byte_buffer_reader_init(&reader, client->received));
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    if (client->n_messages < CLIENT_KEPT_MESSAGES)
        bytes_add(&client->message[client->n_messages], GRPC_SLICE_START_PTR(slice),
                  GRPC_SLICE_LENGTH(slice));
    client->n_messages++;
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(client->received);
    client->received = NULL;
    client_read(client);
}

static void copy_slice(char *out, size_t n_bytes, grpc_slice slice)
{
    snprintf(out, n_bytes, "%.*s", (int)GRPC_SLICE_LENGTH(slice),
             (const char *)GRPC_SLICE_START_PTR(slice));
}

static void take_end(struct rpc_client *client)
{
    client->is_done = true;
    copy_slice(client->text, sizeof client->text, client->details);
    for (size_t i = 0; i < client->end.count; i++) {
        const grpc_metadata *entry = &client->end.metadata[i];
        if (grpc_slice_str_cmp(entry->key, "phalanx-param") == 0)
            copy_slice(client->param, sizeof client->param, entry->value);
        if (grpc_slice_str_cmp(entry->key, "phalanx-code") == 0)
            copy_slice(client->code, sizeof client->code, entry->value);
        if (grpc_slice_str_cmp(entry->key, "grpc-retry-pushback-ms") == 0)
            copy_slice(client->pushback, sizeof client->pushback, entry->value);
    }
}

void world_turn(struct rpc_world *world)
{
    if (world->server != NULL)
        rpc_server_step(world->server);
    if (!world->is_model_slow)
        fake_api_step(&world->fake);
    const gpr_timespec soon =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(1, GPR_TIMESPAN));
    const grpc_event event = grpc_completion_queue_next(world->queue, soon, NULL);
    if (event.type != GRPC_OP_COMPLETE)
        return;
    struct tag *tag = event.tag;
    if (tag->kind == TAG_MESSAGE)
        take_message(tag->client);
    else if (tag->kind == TAG_END)
        take_end(tag->client);
    memory_free(tag);
}

/* ---- a call ---- */

static void start(struct rpc_client *client, const grpc_op *op, size_t n, int kind)
{
    struct tag *tag = memory_alloc(1, sizeof *tag);
    tag->client = client;
    tag->kind = kind;
    CHECK_EQ(grpc_call_start_batch(client->call, op, n, tag, NULL), GRPC_CALL_OK);
}

static void begin_call(struct rpc_client *client, struct rpc_world *world, const char *method,
                       const void *data, size_t n_bytes, int timeout_ms, const char *authorization,
                       bool says_all)
{
    const gpr_timespec deadline =
        timeout_ms == 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                        : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                       gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
    *client = (struct rpc_client){.world = world};
    grpc_metadata_array_init(&client->begin);
    grpc_metadata_array_init(&client->end);
    grpc_slice path = grpc_slice_from_copied_string(method);
    client->call = grpc_channel_create_call(world->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                            world->queue, path, NULL, deadline, NULL);
    grpc_slice_unref(path);
    grpc_metadata key = {.key = grpc_slice_from_static_string("authorization")};
    grpc_op begin[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
    if (authorization != NULL) {
        key.value = grpc_slice_from_copied_string(authorization);
        begin[0].data.send_initial_metadata.count = 1;
        begin[0].data.send_initial_metadata.metadata = &key;
    }
    size_t n = 1;
    if (data != NULL) {
        grpc_slice slice = grpc_slice_from_copied_buffer(data, n_bytes);
        client->sent = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        begin[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
        begin[n++].data.send_message.send_message = client->sent;
    }
    if (says_all)
        begin[n++] = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    begin[n] = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
    begin[n++].data.recv_initial_metadata.recv_initial_metadata = &client->begin;
    start(client, begin, n, TAG_BEGIN);
    if (authorization != NULL)
        grpc_slice_unref(key.value);
    grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    end.data.recv_status_on_client.trailing_metadata = &client->end;
    end.data.recv_status_on_client.status = &client->status;
    end.data.recv_status_on_client.status_details = &client->details;
    start(client, &end, 1, TAG_END);
}

void client_call(struct rpc_client *client, struct rpc_world *world, const char *method,
                 const void *data, size_t n_bytes, int timeout_ms, const char *authorization,
                 bool reads)
{
    begin_call(client, world, method, data, n_bytes, timeout_ms, authorization, true);
    if (reads)
        client_read(client);
}

void client_call_silently(struct rpc_client *client, struct rpc_world *world, const char *method)
{
    begin_call(client, world, method, NULL, 0, 0, NULL, false);
}

void client_wait(struct rpc_client *client)
{
    for (int i = 0; i < MOST_TURNS && !client->is_done; i++)
        world_turn(client->world);
    CHECK(client->is_done);
    for (int i = 0; i < 20; i++) /* the server sees the end as well */
        world_turn(client->world);
}

void client_release(struct rpc_client *client)
{
    for (int i = 0; i < CLIENT_KEPT_MESSAGES; i++)
        bytes_release(&client->message[i]);
    grpc_metadata_array_destroy(&client->begin);
    grpc_metadata_array_destroy(&client->end);
    grpc_slice_unref(client->details);
    grpc_byte_buffer_destroy(client->received);
    grpc_byte_buffer_destroy(client->sent);
    grpc_call_unref(client->call);
}

void world_turn_until_calls(struct rpc_world *world, int wanted)
{
    for (int i = 0; i < MOST_TURNS && rpc_server_calls(world->server) != wanted; i++)
        world_turn(world);
    CHECK_EQ(rpc_server_calls(world->server), wanted);
}

grpc_status_code client_ask(struct rpc_client *client, struct rpc_world *world, const char *method,
                            const void *data, size_t n_bytes)
{
    client_call(client, world, method, data, n_bytes, 0, NULL, true);
    client_wait(client);
    return client->status;
}

bool client_saw(const struct rpc_client *client, int message, const char *bytes)
{
    return message < client->n_messages && message < CLIENT_KEPT_MESSAGES &&
           memmem(client->message[message].data, client->message[message].len, bytes,
                  strlen(bytes)) != NULL;
}
