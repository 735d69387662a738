/* proto/unpack.h: messages of clients, parsed into an arena within a bounded amount of memory.
 *
 * For the .c files of proto/ alone. A few bytes of a message can stand for a large struct, so what
 * unpacking takes is bounded by the size of the message: no honest one comes near.
 */
#pragma once
#include "base/memory.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

/* NULL: ERROR_INPUT, with code "too_large" when it would take too much memory. */
const void *unpack_message(const ProtobufCMessageDescriptor *type, struct arena *arena,
                           const void *data, size_t n_bytes, struct error *err);

/* A copy with a NUL behind it. ERROR_INPUT with the parameter `field`: not UTF-8, or a NUL in it.
 */
bool unpack_text(const char **out, struct arena *arena, ProtobufCBinaryData text, const char *field,
                 struct error *err);
/* The same where it is set; NULL where it is not. */
bool unpack_optional(const char **out, struct arena *arena, bool is_set, ProtobufCBinaryData text,
                     const char *field, struct error *err);
bool unpack_texts(const char *const **out, struct arena *arena, const ProtobufCBinaryData *text,
                  size_t n, const char *field, struct error *err);
