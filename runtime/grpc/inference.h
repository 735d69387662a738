/* runtime/grpc/inference.h: what the methods of phalanx.v1.Inference have in common. */
#pragma once
#include "proto/inference_requests.h"
#include "runtime/api/generate.h"

#include <stdbool.h>
#include <stdint.h>

struct rpc;

/* Who asks. `request_id` as the client gave it, NULL: one is made. ERROR_INPUT: an id that is too
 * long, or not printable. */
bool inference_source(struct api_source *out, struct rpc *rpc, const char *request_id,
                      struct error *err);
/* The earlier of what the client wrote and the deadline of its call; SAMPLING_UNSAID: neither. */
int64_t inference_deadline_ms(const struct rpc *rpc, int64_t said);
struct api_prompt inference_prompt(const struct inference_prompt *from);

/* Ends the calls of this tenant that generate under this id. How many. */
int inference_abort(const struct rpc *asks, const char *request_id);

/* The methods. */
void inference_generate(struct rpc *rpc, const void *data, size_t n_bytes);
void inference_chat(struct rpc *rpc, const void *data, size_t n_bytes);
void inference_generate_closed(struct rpc *rpc);
void inference_embed(struct rpc *rpc, const void *data, size_t n_bytes);
void inference_score(struct rpc *rpc, const void *data, size_t n_bytes);
void inference_pool_closed(struct rpc *rpc);
void inference_tokenize(struct rpc *rpc, const void *data, size_t n_bytes);
void inference_detokenize(struct rpc *rpc, const void *data, size_t n_bytes);
void inference_model_info(struct rpc *rpc, const void *data, size_t n_bytes);
void inference_server_info(struct rpc *rpc, const void *data, size_t n_bytes);
void inference_abort_calls(struct rpc *rpc, const void *data, size_t n_bytes);
