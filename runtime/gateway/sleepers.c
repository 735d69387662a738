#include "runtime/gateway/sleepers.h"

#include <stddef.h>

void sleepers_come(struct sleepers *s, int engine)
{
    s->engine[engine] = (struct sleeper){.is_there = true};
}

void sleepers_leave(struct sleepers *s, int engine) { s->engine[engine] = (struct sleeper){0}; }

bool sleepers_hear(struct sleepers *s, int engine, enum link_sleep sleep)
{
    struct sleeper *one = &s->engine[engine];
    if (!one->is_asked || (sleep == LINK_NOT_ASLEEP) != (one->asked == LINK_NOT_ASLEEP))
        return false;
    one->is_asked = false;
    return true;
}

bool sleepers_is_awake(const struct sleepers *s, int engine)
{
    const struct sleeper *one = &s->engine[engine];
    return one->is_there && !one->is_asked && one->asked == LINK_NOT_ASLEEP;
}

static void tell(struct sleepers *s, bool good)
{
    sleepers_fn *const done = s->done;
    void *const context = s->context;
    s->done = NULL;
    if (done != NULL)
        done(context, good);
}

void sleepers_ask(struct sleepers *s, enum link_sleep wanted, sleepers_fn *done, void *context)
{
    tell(s, false);
    s->wanted = wanted;
    s->done = done;
    s->context = context;
}

bool sleepers_next(struct sleepers *s, bool idle, int *engine, struct link_command *command)
{
    const bool wakes = s->wanted == LINK_NOT_ASLEEP;
    for (int i = 0; (wakes || idle) && i < JOURNAL_MAX_ENGINES; i++) {
        struct sleeper *one = &s->engine[i];
        if (!one->is_there || one->is_asked || one->asked == s->wanted)
            continue;
        one->asked = s->wanted;
        one->is_asked = true;
        *engine = i;
        *command = (struct link_command){.kind = LINK_SLEEP, .sleep = s->wanted};
        return true;
    }
    return false;
}

void sleepers_tell(struct sleepers *s, bool idle)
{
    bool all = idle || s->wanted == LINK_NOT_ASLEEP;
    for (int i = 0; i < JOURNAL_MAX_ENGINES; i++) {
        const struct sleeper *one = &s->engine[i];
        all = all && (!one->is_there || (!one->is_asked && one->asked == s->wanted));
    }
    if (all)
        tell(s, true);
}
