#include "runtime/link/engine_link.h"

#include "base/memory.h"
#include "runtime/link/messages.h"

/* A message in memory is larger than on the wire: ids have 4 bytes for at least 1, and the smallest
 * parts, log-probabilities, about 9 times what they had. Nobody sends the largest frame full of
 * those. */
static const size_t max_unpacked_bytes = 4 * (size_t)LINK_MAX_FRAME_BYTES;

struct link *link_create(int fd)
{
    struct link *link = memory_alloc(1, sizeof *link);
    link_stream_init(&link->stream, fd);
    return link;
}

void link_destroy(struct link *link)
{
    if (link == NULL)
        return;
    link_stream_release(&link->stream);
    arena_release(&link->sending);
    arena_release(&link->received);
    memory_free(link->frame);
    memory_free(link);
}

int link_fd(const struct link *link) { return link->stream.fd; }

bool link_flush(struct link *link, bool *all_sent, struct error *err)
{
    return link_stream_flush(&link->stream, all_sent, err);
}

/* protobuf-c allocates from the arena and frees nothing one by one. */
static void *arena_alloc_message(void *context, size_t n_bytes)
{
    struct arena *arena = context;
    if (n_bytes > max_unpacked_bytes || arena->total_bytes > max_unpacked_bytes - n_bytes)
        return NULL;
    return arena_alloc(arena, n_bytes, 1);
}
static void arena_free_message(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

bool link_send_message(struct link *link, const ProtobufCMessage *message, struct error *err)
{
    const size_t n_bytes = protobuf_c_message_get_packed_size(message);
    if (n_bytes > LINK_MAX_FRAME_BYTES)
        return error_set(err, ERROR_LIMIT, "a message of %zu bytes for the link, at most %d",
                         n_bytes, LINK_MAX_FRAME_BYTES);
    if (n_bytes > link->frame_bytes) {
        link->frame = memory_resize(link->frame, n_bytes, 1);
        link->frame_bytes = n_bytes;
    }
    protobuf_c_message_pack(message, link->frame);
    return link_stream_send(&link->stream, link->frame, n_bytes, err);
}

bool link_receive_message(struct link *link, const ProtobufCMessageDescriptor *descriptor,
                          const ProtobufCMessage **out, struct error *err)
{
    const uint8_t *frame;
    size_t n_bytes;
    *out = NULL;
    if (!link_stream_receive(&link->stream, &frame, &n_bytes, err))
        return false;
    if (frame == NULL)
        return true;
    arena_reset(&link->received);
    ProtobufCAllocator allocator = {.alloc = arena_alloc_message,
                                    .free = arena_free_message,
                                    .allocator_data = &link->received};
    *out = protobuf_c_message_unpack(descriptor, &allocator, n_bytes, frame);
    return *out != NULL || error_set(err, ERROR_PEER, "a frame of %zu bytes on the link is no %s",
                                     n_bytes, descriptor->short_name);
}

bool link_has_message(const struct link *link) { return link_stream_has_frame(&link->stream); }

bool link_bad_message(const char *what, struct error *err)
{
    return error_set(err, ERROR_PEER, "a message on the link has %s", what);
}

bool link_check_counts(const int64_t *count, int n, struct error *err)
{
    for (int i = 0; i < n; i++)
        if (count[i] < 0)
            return link_bad_message("a count below 0", err);
    return true;
}

bool link_check_sleep(uint32_t level, struct error *err)
{
    return level <= LINK_NO_WEIGHTS || link_bad_message("an unknown level of sleep", err);
}
