#include "tests/unit/runtime_model/late_device.h"

#include "base/error.h"
#include "base/memory.h"
#include "tests/test.h"

#include <string.h>

static struct late_device *late(struct device *device)
{
    return (struct late_device *)(void *)device; /* its first member */
}

static bool get_memory(struct device *device, void **out, size_t n_bytes, struct error *err)
{
    struct late_device *d = late(device);
    if (d->held_bytes + n_bytes > d->most_bytes)
        return error_set(err, ERROR_SYSTEM, "%zu bytes are wanted, %zu are free", n_bytes,
                         d->most_bytes - d->held_bytes);
    d->held_bytes += n_bytes;
    return memory_map(out, n_bytes, err);
}

static void free_memory(struct device *device, void *p, size_t n_bytes)
{
    late(device)->held_bytes -= n_bytes;
    memory_unmap(p, n_bytes);
}

static bool get_host_memory(struct device *device, void **out, size_t n_bytes, struct error *err)
{
    (void)device, (void)err;
    *out = memory_alloc(n_bytes, 1);
    return true;
}

static void free_host_memory(struct device *device, void *p, size_t n_bytes)
{
    (void)device, (void)n_bytes;
    memory_free(p);
}

static void queue_upload(struct device *device, void *to, const void *from, size_t n_bytes)
{
    struct late_device *d = late(device);
    CHECK(d->n_uploads < LATE_MAX_UPLOADS);
    d->upload[d->n_uploads++] = (struct late_upload){to, from, n_bytes};
}

static uint64_t end_of_queue(struct device *device) { return (uint64_t)late(device)->n_uploads; }

static bool wait_for(struct device *device, uint64_t mark, struct error *err)
{
    struct late_device *d = late(device);
    for (; d->n_done < (int)mark; d->n_done++) {
        const struct late_upload *upload = &d->upload[d->n_done];
        memcpy(upload->to, upload->from, upload->n_bytes);
    }
    return d->failure == NULL || error_set(err, ERROR_SYSTEM, "%s", d->failure);
}

static const struct device_calls calls = {.alloc = get_memory,
                                          .free = free_memory,
                                          .alloc_host = get_host_memory,
                                          .free_host = free_host_memory,
                                          .upload = queue_upload,
                                          .mark = end_of_queue,
                                          .wait = wait_for};

void late_device_init(struct late_device *out)
{
    *out = (struct late_device){.device.calls = &calls, .most_bytes = (size_t)1 << 30};
}
