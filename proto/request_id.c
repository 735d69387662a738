#include "proto/request_id.h"

#include "base/error.h"
#include "base/system.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool request_id_is_good(const char *id)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    const size_t n = strspn(id, letters);
    return n > 0 && n < REQUEST_ID_BYTES && id[n] == '\0';
}

bool request_id_check(const char *id, struct error *err)
{
    if (request_id_is_good(id))
        return true;
    error_set(err, ERROR_INPUT, "request_id: want 1 to %d letters, digits, '_', '-' and '.'",
              REQUEST_ID_BYTES - 1);
    return error_param(err, "request_id");
}

void request_id_make(char out[REQUEST_ID_BYTES])
{
    uint64_t random[2] = {0};
    struct error ignored = {0};
    if (!system_random(random, sizeof random, &ignored))
        random[1] = (uint64_t)clock_now_ns();
    snprintf(out, REQUEST_ID_BYTES, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
}
