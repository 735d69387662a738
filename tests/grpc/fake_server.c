/* A gRPC server over the fake api, for clients of other languages: tests/grpc/test_*.py.
 *
 * fake_server [--key KEY] [--tls CERT KEY] [--max-message BYTES] [--max-memory BYTES]. It prints
 * its port, and serves until its standard input has lines: "ready" and "starting" change what
 * health says, "drain" takes no new calls, "counts" prints what the api saw; it ends with the
 * input. */
#include "base/check.h"
#include "base/error.h"
#include "runtime/grpc/rpc_server.h"
#include "tests/unit/runtime_grpc/fake_api.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEP_MS = 2 };

struct world {
    struct fake_api fake; /* its api comes first in it */
    struct rpc_server *server;
    const char *key;
    bool is_ready;
};

static bool allow(void *context, const char *authorization, uint64_t *tenant)
{
    const struct world *world = context;
    static const char bearer[] = "Bearer ";
    *tenant = 0;
    if (authorization == NULL || strncmp(authorization, bearer, sizeof bearer - 1) != 0)
        return false;
    authorization += sizeof bearer - 1;
    *tenant = strlen(authorization);
    return strncmp(authorization, world->key, strlen(world->key)) == 0;
}

static bool is_ready(void *context) { return ((const struct world *)context)->is_ready; }

static void parse(struct rpc_settings *settings, struct world *world, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--key") == 0 && i + 1 < argc) {
            world->key = argv[++i];
            settings->allow = allow;
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            settings->tls_cert_file = argv[++i];
            settings->tls_key_file = argv[++i];
        } else if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            settings->port = (int)strtol(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--max-message") == 0 && i + 1 < argc) {
            settings->limits.max_message_bytes = (size_t)strtol(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--max-memory") == 0 && i + 1 < argc) {
            settings->limits.max_memory_bytes = (size_t)strtol(argv[++i], NULL, 10);
        } else {
            fprintf(stderr, "fake_server: what is %s?\n", argv[i]);
            exit(2);
        }
    }
}

static void obey(struct world *world, const char *line)
{
    const struct fake_api *fake = &world->fake;
    if (strcmp(line, "ready\n") == 0)
        world->is_ready = true;
    else if (strcmp(line, "starting\n") == 0)
        world->is_ready = false;
    else if (strcmp(line, "drain\n") == 0)
        rpc_server_drain(world->server);
    else if (strcmp(line, "counts\n") == 0)
        printf("%d %d %d %d %d\n", fake->n_begun, fake->n_cancelled, fake->n_ended,
               (int)fake->admission.n_in_flight, rpc_server_calls(world->server));
    fflush(stdout);
}

static void serve(struct world *world)
{
    char line[64];
    for (;;) {
        struct pollfd wait[] = {{.fd = rpc_server_fd(world->server), .events = POLLIN},
                                {.fd = STDIN_FILENO, .events = POLLIN}};
        const int n = poll(wait, 2, STEP_MS);
        if (n > 0 && wait[0].revents != 0)
            rpc_server_step(world->server);
        if (n > 0 && wait[1].revents != 0) {
            if (fgets(line, sizeof line, stdin) == NULL)
                return;
            obey(world, line);
        }
        fake_api_step(&world->fake);
    }
}

int main(int argc, char **argv)
{
    static struct world world = {.is_ready = true};
    struct error err = {0};
    struct rpc_settings settings = {.host = "127.0.0.1",
                                    .limits = rpc_limits_default(),
                                    .version = "0.0.0-fake",
                                    .api = &world.fake.api,
                                    .is_ready = is_ready,
                                    .context = &world};
    parse(&settings, &world, argc, argv);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll() sees what fgets() has not taken */
    fake_api_open(&world.fake);
    if (!rpc_server_open(&world.server, &settings, &err) || !rpc_server_start(world.server, &err)) {
        fprintf(stderr, "fake_server: %s\n", err.text);
        return 2;
    }
    printf("%d\n", rpc_server_port(world.server));
    fflush(stdout);
    serve(&world);
    rpc_server_close(world.server);
    fake_api_close(&world.fake);
    return 0;
}
