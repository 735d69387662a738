#include "proto/unpack.h"

#include "base/error.h"
#include "base/utf8.h"

#include <string.h>

enum {
    BYTES_A_BYTE = 16,      /* an empty chat message is 2 bytes on the wire and 256 in memory, */
    BYTES_ANYWAY = 4 << 20, /* so 10,000 short ones fit in any case */
};

struct budget {
    struct arena *arena;
    size_t most; /* of arena->total_bytes */
    bool is_over;
};

static void *alloc_within(void *context, size_t n_bytes)
{
    struct budget *budget = context;
    if (budget->arena->total_bytes > budget->most ||
        n_bytes > budget->most - budget->arena->total_bytes) {
        budget->is_over = true;
        return NULL;
    }
    return arena_alloc(budget->arena, n_bytes, 1);
}
static void free_nothing(void *context, void *p)
{
    (void)context;
    (void)p;
}

const void *unpack_message(const ProtobufCMessageDescriptor *type, struct arena *arena,
                           const void *data, size_t n_bytes, struct error *err)
{
    struct budget budget = {.arena = arena,
                            .most = arena->total_bytes + BYTES_ANYWAY + n_bytes * BYTES_A_BYTE};
    ProtobufCAllocator allocator = {
        .alloc = alloc_within, .free = free_nothing, .allocator_data = &budget};
    const void *message = protobuf_c_message_unpack(type, &allocator, n_bytes, data);
    if (message == NULL) {
        if (budget.is_over) {
            error_set(err, ERROR_INPUT, "a %s of %zu bytes has too many parts", type->short_name,
                      n_bytes);
            error_code(err, "too_large");
        } else {
            error_set(err, ERROR_INPUT,
                      "%zu bytes that are no %s: is the client made from another phalanx.proto?",
                      n_bytes, type->short_name);
        }
    }
    return message;
}

bool unpack_text(const char **out, struct arena *arena, ProtobufCBinaryData text, const char *field,
                 struct error *err)
{
    const char *data = text.len == 0 ? "" : (const char *)text.data;
    const size_t valid = utf8_valid_bytes(data, text.len);
    if (valid < text.len) {
        error_set(err, ERROR_INPUT, "%s is not UTF-8 at byte %zu", field, valid);
        return error_param(err, field);
    }
    const char *nul = memchr(data, '\0', text.len);
    if (nul != NULL) {
        error_set(err, ERROR_INPUT, "%s has a NUL character at byte %td", field, nul - data);
        return error_param(err, field);
    }
    *out = arena_copy_text(arena, data, text.len);
    return true;
}

bool unpack_optional(const char **out, struct arena *arena, bool is_set, ProtobufCBinaryData text,
                     const char *field, struct error *err)
{
    *out = NULL;
    return !is_set || unpack_text(out, arena, text, field, err);
}

bool unpack_texts(const char *const **out, struct arena *arena, const ProtobufCBinaryData *text,
                  size_t n, const char *field, struct error *err)
{
    const char **list = arena_alloc(arena, n, sizeof *list);
    for (size_t i = 0; i < n; i++)
        if (!unpack_text(&list[i], arena, text[i], field, err))
            return false;
    *out = list;
    return true;
}
