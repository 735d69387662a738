/* Stands in for the rest of this folder in a build without gRPC, so that callers need no #ifdef. */
#include "runtime/grpc/rpc_server.h"

#include "base/check.h"
#include "base/error.h"

struct rpc_limits rpc_limits_default(void) { return (struct rpc_limits){0}; }

bool rpc_server_open(struct rpc_server **out, const struct rpc_settings *settings,
                     struct error *err)
{
    (void)settings;
    *out = NULL;
    return error_set(err, ERROR_UNSUPPORTED,
                     "this build has no gRPC: install libgrpc-dev and build again");
}

/* There is no server to call these with. */
bool rpc_server_start(struct rpc_server *server, struct error *err)
{
    (void)err;
    check(server != NULL);
    return false;
}
bool rpc_server_renew_certificate(struct rpc_server *server, const char *cert_file,
                                  const char *key_file, struct error *err)
{
    (void)cert_file, (void)key_file, (void)err;
    check(server != NULL);
    return false;
}
int rpc_server_port(const struct rpc_server *server)
{
    check(server != NULL);
    return 0;
}
int rpc_server_fd(const struct rpc_server *server)
{
    check(server != NULL);
    return -1;
}
int rpc_server_calls(const struct rpc_server *server)
{
    check(server != NULL);
    return 0;
}
uint64_t rpc_server_refused(const struct rpc_server *server)
{
    check(server != NULL);
    return 0;
}
void rpc_server_step(struct rpc_server *server) { check(server != NULL); }
void rpc_server_drain(struct rpc_server *server) { check(server != NULL); }
void rpc_server_close(struct rpc_server *server) { check(server == NULL); }
