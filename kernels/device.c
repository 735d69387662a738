/* What every device can do, by its table. */
#include "kernels/device.h"

#include "base/check.h"
#include "base/error.h"

void device_close(struct device *device)
{
    if (device != NULL)
        device->calls->close(device);
}

bool device_is_host(const struct device *device) { return device->calls->is_host; }

bool device_alloc(struct device *device, void **out, size_t n_bytes, struct error *err)
{
    return device->calls->alloc(device, out, n_bytes, err);
}

void device_free(struct device *device, void *p, size_t n_bytes)
{
    device->calls->free(device, p, n_bytes);
}

bool device_alloc_host(struct device *device, void **out, size_t n_bytes, struct error *err)
{
    return device->calls->alloc_host(device, out, n_bytes, err);
}

void device_free_host(struct device *device, void *p, size_t n_bytes)
{
    device->calls->free_host(device, p, n_bytes);
}

void device_memory(struct device *device, size_t *free_bytes, size_t *total_bytes)
{
    device->calls->memory(device, free_bytes, total_bytes);
}

bool device_reserve(struct device *device, const struct step_needs *needs, struct error *err)
{
    return device->calls->reserve(device, needs, err);
}

size_t device_workspace_bytes(const struct device *device, const struct step_needs *needs)
{
    return device->calls->workspace_bytes(device, needs);
}

void device_upload(struct device *device, void *to, const void *from_host, size_t n_bytes)
{
    if (n_bytes > 0)
        device->calls->upload(device, to, from_host, n_bytes);
}

void device_download(struct device *device, void *to_host, const void *from, size_t n_bytes)
{
    if (n_bytes > 0)
        device->calls->download(device, to_host, from, n_bytes);
}

void device_copy_rows(struct device *device, void *to, size_t to_stride, const void *from,
                      size_t from_stride, size_t row_bytes, size_t n_rows)
{
    check(row_bytes <= to_stride && row_bytes <= from_stride);
    if (row_bytes > 0 && n_rows > 0)
        device->calls->copy_rows(device, to, to_stride, from, from_stride, row_bytes, n_rows);
}

uint64_t device_mark(struct device *device) { return device->calls->mark(device); }

bool device_wait(struct device *device, uint64_t mark, struct error *err)
{
    return device->calls->wait(device, mark, err);
}

bool device_sync(struct device *device, struct error *err)
{
    return device_wait(device, device_mark(device), err);
}

bool device_has_records(const struct device *device) { return device->calls->has_records; }

void device_record_begin(struct device *device)
{
    check(device->calls->has_records);
    device->calls->record_begin(device);
}

struct device_record *device_record_end(struct device *device)
{
    return device->calls->record_end(device);
}

void device_replay(struct device *device, const struct device_record *record)
{
    device->calls->replay(device, record);
}

void device_record_free(struct device *device, struct device_record *record)
{
    if (record != NULL)
        device->calls->record_free(device, record);
}
