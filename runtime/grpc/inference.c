#include "runtime/grpc/inference.h"

#include "base/error.h"
#include "proto/request_id.h"
#include "runtime/grpc/rpc.h"

#include <stdio.h>
#include <string.h>

/* Longer ones are no limits: the validator would refuse them, and a client has not written them. */
static const int64_t MAX_DEADLINE_MS = 31536000000; /* a year */

bool inference_source(struct api_source *out, struct rpc *rpc, const char *request_id,
                      struct error *err)
{
    *out = (struct api_source){.tenant = rpc_tenant(rpc),
                               .peer = rpc_peer(rpc),
                               .route = rpc_method_of(rpc)->path,
                               .record = rpc_record(rpc)};
    if (request_id == NULL) {
        char made[REQUEST_ID_BYTES];
        request_id_make(made);
        snprintf(out->request_id, sizeof out->request_id, "grpc-%s", made);
        return true;
    }
    if (!request_id_check(request_id, err))
        return false;
    memcpy(out->request_id, request_id, strlen(request_id) + 1);
    return true;
}

int64_t inference_deadline_ms(const struct rpc *rpc, int64_t said)
{
    const int64_t of_call = rpc_deadline_ms(rpc);
    const bool is_earlier = said == SAMPLING_UNSAID || said == 0 || said > of_call;
    return of_call <= MAX_DEADLINE_MS && is_earlier ? of_call : said;
}

struct api_prompt inference_prompt(const struct inference_prompt *from)
{
    return (struct api_prompt){.text = from->text.data,
                               .n_bytes = from->text.n_bytes,
                               .id = from->id,
                               .n_ids = from->n_ids};
}
