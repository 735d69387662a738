/* tests/unit/runtime_model/late_device.h: a device with memory of its own that does what it is
 * asked as late as it may: an upload reads the host's bytes when somebody waits for it. So a buffer
 * that is written again too early shows. */
#pragma once
#include "kernels/device.h"

enum { LATE_MAX_UPLOADS = 64 };

struct late_device {
    struct device device; /* its only operations are those of memory and of the queue */
    struct late_upload {
        void *to;
        const void *from;
        size_t n_bytes;
    } upload[LATE_MAX_UPLOADS];
    int n_uploads, n_done;
    size_t held_bytes;   /* of device_alloc() */
    size_t most_bytes;   /* more than so many at once are refused */
    const char *failure; /* of the next wait, or NULL */
};

void late_device_init(struct late_device *out);
