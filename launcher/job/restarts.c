#include "launcher/job/restarts.h"

#include <stddef.h>

static const int64_t MS = 1000000;
static const int64_t WAIT_MS[] = {0, 500, 1000, 2000, 4000, 8000, 15000, 30000};
static const int64_t STOOD_MS = 60000;

void restarts_note_ready(struct restarts *restarts, int64_t now_ns) { restarts->ready_ns = now_ns; }

bool restarts_allow(struct restarts *restarts, int64_t now_ns, bool progressed, int64_t *start_ns)
{
    const bool stood = restarts->ready_ns > 0 && now_ns - restarts->ready_ns >= STOOD_MS * MS;
    const int last = (int)(sizeof WAIT_MS / sizeof *WAIT_MS) - 1;
    restarts->ready_ns = 0;
    if (progressed || stood)
        restarts->n = 0;
    if (restarts->n >= restarts->most)
        return false;
    *start_ns = now_ns + WAIT_MS[restarts->n < last ? restarts->n : last] * MS;
    restarts->n++;
    return true;
}
