/* proto/reflection.h: what a server tells tools about its services: answers to requests of
 * grpc.reflection.v1.ServerReflection, and of v1alpha, whose messages are the same.
 *
 * The descriptions are those that protoc made of the .proto files when this was built.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct arena;
struct bytes;
struct error;

/* Appends the answer to one request; what does not exist is an answer too (error_response with
 * NOT_FOUND). ERROR_INPUT: the request does not parse. */
bool reflection_answer(struct bytes *out, struct arena *scratch, const void *request,
                       size_t n_bytes, struct error *err);
