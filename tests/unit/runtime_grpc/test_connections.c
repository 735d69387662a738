#include "base/error.h"
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_grpc/rpc_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grpc/status.h>
#include <sys/socket.h>
#include <unistd.h>

#define GENERATE "/phalanx.v1.Inference/Generate"
static const char HELLO[] = "\x1a\x05hello"; /* GenerateRequest.text */

static int connect_raw(const struct rpc_world *world)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)rpc_server_port(world->server)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address) == 0);
    return fd;
}

/* A server says its settings first of all, without being asked. False: it hangs up. */
static bool is_let_in(struct rpc_world *world, int fd)
{
    char byte;
    for (int i = 0; i < MOST_TURNS; i++) {
        const ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
        if (n > 0)
            return true;
        if (n == 0 || errno != EAGAIN)
            return false;
        world_turn(world);
    }
    test_fail(__FILE__, __LINE__, "neither let in nor refused");
    return false;
}

static bool comes_in(struct rpc_world *world)
{
    const int fd = connect_raw(world);
    const bool is_in = is_let_in(world, fd);
    close(fd);
    return is_in;
}

static void check_call(struct rpc_world *world)
{
    struct rpc_client client;
    CHECK_EQ(client_ask(&client, world, GENERATE, HELLO, sizeof HELLO - 1), GRPC_STATUS_OK);
    client_release(&client);
}

TEST(one_connection_too_many_is_closed_and_the_others_go_on)
{
    struct rpc_world world;
    struct rpc_limits limits = rpc_limits_default();
    limits.max_connections = 3;
    world_open(&world, &limits, NULL);
    check_call(&world);
    const int first = connect_raw(&world), second = connect_raw(&world);
    CHECK(is_let_in(&world, first) && is_let_in(&world, second));
    for (int i = 0; i < 20; i++)
        CHECK(!comes_in(&world));
    CHECK_EQ(rpc_server_refused(world.server), 20);
    check_call(&world);
    close(first);
    close(second);
    world_close(&world);
}

TEST(the_place_of_a_connection_that_is_gone_is_taken_again)
{
    struct rpc_world world;
    struct rpc_limits limits = rpc_limits_default();
    limits.max_connections = 1;
    world_open(&world, &limits, NULL);
    for (int i = 0; i < 3; i++) {
        const int64_t until_ns = clock_now_ns() + 30000000000;
        while (!comes_in(&world))
            CHECK(clock_now_ns() < until_ns);
    }
    world_close(&world);
}

/* Of 20, one after the other, of which none is too many. */
static int n_refused_of_20(struct rpc_world *world)
{
    int n_refused = 0;
    for (int i = 0; i < 20; i++) {
        n_refused += !comes_in(world);
        const int64_t until_ns = clock_now_ns() + 20000000; /* its end is noticed */
        while (clock_now_ns() < until_ns)
            world_turn(world);
    }
    return n_refused;
}

TEST(free_places_are_found_again_as_soon_as_they_are_needed)
{
    struct rpc_world world;
    struct rpc_limits limits = rpc_limits_default();
    int n_tries = 0;
    limits.max_connections = 2;
    world_open(&world, &limits, NULL);
    while (n_refused_of_20(&world) >= 5) /* where the machine let the threads of gRPC wait */
        CHECK(++n_tries < 5);
    world_close(&world);
}

TEST(a_connection_without_calls_is_asked_to_go_and_comes_again)
{
    struct rpc_world world;
    struct rpc_limits limits = rpc_limits_default();
    limits.idle_ns = 1000000000;
    world_open(&world, &limits, NULL);
    check_call(&world);
    const int64_t until_ns = clock_now_ns() + 30000000000;
    while (grpc_channel_check_connectivity_state(world.channel, 0) == GRPC_CHANNEL_READY &&
           clock_now_ns() < until_ns)
        world_turn(&world);
    CHECK_EQ(grpc_channel_check_connectivity_state(world.channel, 0), GRPC_CHANNEL_IDLE);
    check_call(&world);
    world_close(&world);
}
