/* All methods of all services. */
#include "runtime/grpc/inference.h"
#include "runtime/grpc/rpc.h"
#include "runtime/grpc/services.h"

#include <string.h>

static const struct rpc_method methods[] = {
    {.path = "/phalanx.v1.Inference/Generate",
     .request = inference_generate,
     .closed = inference_generate_closed},
    {.path = "/phalanx.v1.Inference/Chat",
     .request = inference_chat,
     .closed = inference_generate_closed},
    {.path = "/phalanx.v1.Inference/Embed",
     .request = inference_embed,
     .closed = inference_pool_closed},
    {.path = "/phalanx.v1.Inference/Score",
     .request = inference_score,
     .closed = inference_pool_closed},
    {.path = "/phalanx.v1.Inference/Tokenize", .request = inference_tokenize},
    {.path = "/phalanx.v1.Inference/Detokenize", .request = inference_detokenize},
    {.path = "/phalanx.v1.Inference/GetModelInfo", .request = inference_model_info},
    {.path = "/phalanx.v1.Inference/GetServerInfo", .request = inference_server_info},
    {.path = "/phalanx.v1.Inference/Abort", .request = inference_abort_calls},
    {.path = "/grpc.health.v1.Health/Check", .is_open = true, .request = health_check},
    {.path = "/grpc.health.v1.Health/Watch",
     .is_open = true,
     .is_endless = true,
     .request = health_watch,
     .tick = health_watch_tick},
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
     .takes_many = true,
     .is_endless = true,
     .request = reflection_info},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     .takes_many = true,
     .is_endless = true,
     .request = reflection_info},
};

const struct rpc_method *rpc_method_find(const char *path, size_t n_bytes)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strlen(methods[i].path) == n_bytes && memcmp(methods[i].path, path, n_bytes) == 0)
            return &methods[i];
    return NULL;
}
