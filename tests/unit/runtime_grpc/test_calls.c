#include "base/error.h"
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_grpc/rpc_client.h"

#include <grpc/status.h>
#include <string.h>

/* Messages by hand: field << 3 | 2, length, bytes. */
#define GENERATE                   "/phalanx.v1.Inference/Generate"
#define ASK(c, w, method, message) client_ask(c, w, method, message, sizeof(message) - 1)
static const char HELLO[] = "\x1a\x05hello"; /* GenerateRequest.text */
static const char FOREVER[] = "\x1a\x07"
                              "forever";

static void turn_until(struct rpc_world *world, const int *value, int wanted)
{
    for (int i = 0; i < MOST_TURNS && *value != wanted; i++)
        world_turn(world);
    CHECK_EQ(*value, wanted);
}

TEST(an_answer_is_the_id_the_tokens_and_the_usage)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    CHECK_EQ(ASK(&client, &world, GENERATE, HELLO), GRPC_STATUS_OK);
    CHECK(client_saw(&client, 0, "grpc-"));
    CHECK(client_saw(&client, 2, "Once"));
    CHECK_EQ(client.n_messages, 1 + 16 + 1);
    CHECK_EQ(world.fake.n_ended, 1);
    CHECK_EQ(rpc_server_calls(world.server), 0);
    client_release(&client);
    world_close(&world);
}

TEST(an_error_of_the_api_is_a_status_with_its_param_and_code)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    CHECK_EQ(ASK(&client, &world, GENERATE, "\x12\x05other\x1a\x01x"), GRPC_STATUS_NOT_FOUND);
    CHECK_STR(client.param, "model");
    CHECK_STR(client.code, "model_not_found");
    CHECK_STR(client.text, "the model other does not exist");
    client_release(&client);
    world_close(&world);
}

TEST(a_full_queue_says_when_to_try_again)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    CHECK_EQ(ASK(&client, &world, GENERATE,
                 "\x1a\x04"
                 "full"),
             GRPC_STATUS_RESOURCE_EXHAUSTED);
    CHECK_STR(client.code, "queue_full");
    CHECK_STR(client.pushback, "3000");
    client_release(&client);
    world_close(&world);
}

TEST(an_error_in_the_middle_comes_after_what_was_said)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    CHECK_EQ(ASK(&client, &world, GENERATE,
                 "\x1a\x05"
                 "crash"),
             GRPC_STATUS_INTERNAL);
    CHECK_EQ(client.n_messages, 1 + 2);
    CHECK_STR(client.code, "engine_crash");
    client_release(&client);
    world_close(&world);
}

TEST(bytes_that_are_no_message_are_refused)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    CHECK_EQ(ASK(&client, &world, GENERATE, "\xff\xff\xff"), GRPC_STATUS_INVALID_ARGUMENT);
    client_release(&client);
    CHECK_EQ(ASK(&client, &world, GENERATE, "\x1a\x02\xc3\x28"), GRPC_STATUS_INVALID_ARGUMENT);
    CHECK_STR(client.param, "prompt");
    client_release(&client);
    CHECK_EQ(ASK(&client, &world, GENERATE,
                 "\x1a\x03"
                 "a\0b"),
             GRPC_STATUS_INVALID_ARGUMENT);
    CHECK_STR(client.text, "prompt has a NUL character at byte 1");
    client_release(&client);
    world_close(&world);
}

TEST(a_call_without_a_message_is_refused)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    client_call(&client, &world, GENERATE, NULL, 0, 0, NULL, true);
    client_wait(&client);
    CHECK_EQ(client.status, GRPC_STATUS_INVALID_ARGUMENT);
    client_release(&client);
    world_close(&world);
}

TEST(a_message_over_the_limit_is_refused)
{
    struct rpc_world world;
    struct rpc_client client;
    struct rpc_limits limits = rpc_limits_default();
    static char big[5000] = "\x1a\x84\x27"; /* a text of 4996 bytes */
    memset(big + 3, 'x', sizeof big - 3);
    limits.max_message_bytes = 4096;
    world_open(&world, &limits, NULL);
    CHECK_EQ(client_ask(&client, &world, GENERATE, big, sizeof big - 1),
             GRPC_STATUS_RESOURCE_EXHAUSTED);
    CHECK_EQ(world.fake.n_begun, 0);
    client_release(&client);
    world_close(&world);
}

TEST(a_method_that_is_not_there_is_unimplemented)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    CHECK_EQ(ASK(&client, &world, "/phalanx.v1.Inference/Train", HELLO), GRPC_STATUS_UNIMPLEMENTED);
    CHECK_STR(client.text, "there is no method /phalanx.v1.Inference/Train");
    client_release(&client);
    world_close(&world);
}

TEST(without_a_key_nobody_learns_anything_but_health)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, "Bearer secret");
    const char *closed[] = {GENERATE, "/phalanx.v1.Inference/GetServerInfo", "/x/y",
                            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"};
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(ASK(&client, &world, closed[i], HELLO), GRPC_STATUS_UNAUTHENTICATED);
        client_release(&client);
    }
    CHECK_EQ(ASK(&client, &world, "/grpc.health.v1.Health/Check", ""), GRPC_STATUS_OK);
    client_release(&client);
    client_call(&client, &world, GENERATE, HELLO, sizeof HELLO - 1, 0, "Bearer secret", true);
    client_wait(&client);
    CHECK_EQ(client.status, GRPC_STATUS_OK);
    CHECK_EQ(world.fake.source.tenant, strlen("Bearer secret"));
    client_release(&client);
    world_close(&world);
}

TEST(a_client_that_goes_away_cancels_its_request)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    client_call(&client, &world, GENERATE, FOREVER, sizeof FOREVER - 1, 0, NULL, true);
    turn_until(&world, &world.fake.n_begun, 1);
    grpc_call_cancel(client.call, NULL);
    client_wait(&client);
    CHECK_EQ(client.status, GRPC_STATUS_CANCELLED); /* which the server hears later */
    turn_until(&world, &world.fake.n_cancelled, 1);
    world_turn_until_calls(&world, 0);
    client_release(&client);
    world_close(&world);
}

TEST(a_deadline_cancels_the_request_and_the_model_knows_it)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    client_call(&client, &world, GENERATE, FOREVER, sizeof FOREVER - 1, 1500, NULL, true);
    turn_until(&world, &world.fake.n_begun, 1);
    CHECK(world.fake.sampling.deadline_ms > 0); /* gRPC rounds it up, on some ways to 1510 */
    CHECK(world.fake.sampling.deadline_ms < 10000);
    client_wait(&client);
    CHECK_EQ(client.status, GRPC_STATUS_DEADLINE_EXCEEDED);
    world_turn_until_calls(&world, 0);
    CHECK_EQ(world.fake.admission.n_in_flight, 0);
    client_release(&client);
    world_close(&world);
}

TEST(a_client_that_does_not_read_is_cut_off_and_its_request_cancelled)
{
    struct rpc_world world;
    struct rpc_client client;
    static const char endless[] = "\x1a\x05"
                                  "flood"
                                  "\x2a\x05\x50\xc0\x84\xbd\x0f"; /* 33 M tokens */
    world_open(&world, NULL, NULL);
    client_call(&client, &world, GENERATE, endless, sizeof endless - 1, 0, NULL, false);
    turn_until(&world, &world.fake.n_begun, 1);
    turn_until(&world, &world.fake.n_ended, 1);
    client_read(&client);
    client_wait(&client);
    CHECK_EQ(client.status, GRPC_STATUS_RESOURCE_EXHAUSTED);
    CHECK_STR(client.text, "the client does not read what it asked for");
    world_turn_until_calls(&world, 0);
    client_release(&client);
    world_close(&world);
}

TEST(more_calls_than_the_most_are_refused)
{
    struct rpc_world world;
    struct rpc_client first, second;
    struct rpc_limits limits = rpc_limits_default();
    limits.max_calls = 1;
    world_open(&world, &limits, NULL);
    client_call(&first, &world, GENERATE, FOREVER, sizeof FOREVER - 1, 0, NULL, true);
    turn_until(&world, &world.fake.n_begun, 1);
    CHECK_EQ(ASK(&second, &world, GENERATE, HELLO), GRPC_STATUS_RESOURCE_EXHAUSTED);
    grpc_call_cancel(first.call, NULL);
    client_wait(&first);
    client_release(&first);
    client_release(&second);
    world_close(&world);
}

TEST(abort_ends_the_call_with_that_id_and_no_other)
{
    struct rpc_world world;
    struct rpc_client call, other, abort;
    static const char mine[] = "\x0a\x01"
                               "a\x1a\x07"
                               "forever";
    static const char theirs[] = "\x0a\x01"
                                 "b\x1a\x07"
                                 "forever";
    world_open(&world, NULL, NULL);
    client_call(&call, &world, GENERATE, mine, sizeof mine - 1, 0, NULL, true);
    client_call(&other, &world, GENERATE, theirs, sizeof theirs - 1, 0, NULL, true);
    turn_until(&world, &world.fake.n_begun, 2);
    CHECK_EQ(ASK(&abort, &world, "/phalanx.v1.Inference/Abort",
                 "\x0a\x01"
                 "a"),
             GRPC_STATUS_OK);
    CHECK(client_saw(&abort, 0, "\x08\x01")); /* n_aborted: 1 */
    client_wait(&call);
    CHECK_EQ(call.status, GRPC_STATUS_CANCELLED);
    CHECK_STR(call.text, "Abort was called for this request");
    CHECK(!other.is_done);
    CHECK_EQ(world.fake.n_cancelled, 1);
    grpc_call_cancel(other.call, NULL);
    client_wait(&other);
    client_release(&call);
    client_release(&other);
    client_release(&abort);
    world_close(&world);
}

TEST(a_server_that_drains_finishes_what_it_has)
{
    struct rpc_world world;
    struct rpc_client call, watch, late;
    world_open(&world, NULL, NULL);
    client_call(&watch, &world, "/grpc.health.v1.Health/Watch", "", 0, 0, NULL, true);
    client_call(&call, &world, GENERATE, "\x1a\x04slow", 6, 0, NULL, true);
    turn_until(&world, &world.fake.n_begun, 1);
    rpc_server_drain(world.server);
    client_call(&late, &world, GENERATE, HELLO, sizeof HELLO - 1, 0, NULL, true);
    client_wait(&call);
    CHECK_EQ(call.status, GRPC_STATUS_OK);
    CHECK_EQ(call.n_messages, 1 + 16 + 1);
    client_wait(&watch);
    CHECK_EQ(watch.status, GRPC_STATUS_UNAVAILABLE);
    client_wait(&late);
    CHECK_EQ(late.status, GRPC_STATUS_UNAVAILABLE);
    CHECK_STR(late.code, "draining");
    CHECK_EQ(world.fake.n_begun, 1);
    client_release(&call);
    client_release(&watch);
    client_release(&late);
    world_close(&world);
}

TEST(a_server_that_drains_does_not_wait_for_what_nobody_has_asked_yet)
{
    struct rpc_world world;
    struct rpc_client call;
    world_open(&world, NULL, NULL);
    client_call_silently(&call, &world, GENERATE);
    world_turn_until_calls(&world, 1);
    rpc_server_drain(world.server);
    client_wait(&call);
    CHECK_EQ(call.status, GRPC_STATUS_UNAVAILABLE);
    world_turn_until_calls(&world, 0);
    client_release(&call);
    world_close(&world);
}

TEST(closing_cancels_what_goes_on)
{
    struct rpc_world world;
    struct rpc_client client;
    world_open(&world, NULL, NULL);
    client_call(&client, &world, GENERATE, FOREVER, sizeof FOREVER - 1, 0, NULL, true);
    turn_until(&world, &world.fake.n_begun, 1);
    rpc_server_close(world.server);
    world.server = NULL;
    CHECK_EQ(world.fake.n_cancelled, 1);
    client_wait(&client);
    CHECK(client.status != GRPC_STATUS_OK);
    client_release(&client);
    world_close(&world);
}
