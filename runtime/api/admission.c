#include "runtime/api/admission.h"

#include "base/error.h"

/* Whoever waits longer than it takes loses little; a crowd that comes back too early loses more. */
enum { RETRY_FULL_S = 1, RETRY_ASLEEP_S = 5, RETRY_STARTING_S = 10, RETRY_DRAINING_S = 30 };

static bool refuse(struct admission *admission, const char *code, const char *why,
                   struct error *err)
{
    admission->n_refused++;
    error_set(err, ERROR_LIMIT, "%s", why);
    return error_code(err, code);
}

bool admission_enter(struct admission *admission, int64_t n, struct error *err)
{
    switch (admission->state) {
    case ADMISSION_OPEN:
        break;
    case ADMISSION_STARTING:
        return refuse(admission, "not_ready", "the model is not ready yet: try again later", err);
    case ADMISSION_SLEEPING:
        return refuse(admission, "sleeping", "the model is asleep: wake it up first", err);
    case ADMISSION_DRAINING:
        return refuse(admission, "draining",
                      "the server finishes what it has and takes nothing new: ask another one",
                      err);
    }
    if (n > admission->max_in_flight - admission->n_in_flight)
        return refuse(admission, "queue_full",
                      "as many requests as this server takes wait already: try again later", err);
    admission->n_in_flight += n;
    return true;
}

void admission_leave(struct admission *admission, int64_t n) { admission->n_in_flight -= n; }

int admission_retry_after_s(const struct admission *admission)
{
    switch (admission->state) {
    case ADMISSION_OPEN:
        return RETRY_FULL_S;
    case ADMISSION_STARTING:
        return RETRY_STARTING_S;
    case ADMISSION_SLEEPING:
        return RETRY_ASLEEP_S;
    case ADMISSION_DRAINING:
        break;
    }
    return RETRY_DRAINING_S;
}
