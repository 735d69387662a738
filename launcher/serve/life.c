#include "launcher/serve/life.h"

#include "base/memory.h"
#include "base/system.h"

#include <event2/event.h>
#include <signal.h>

/* After give_up(): the errors are to reach those that read them, and nobody waits for others. */
static const int64_t LAST_WORDS_NS = 1000000000;

enum stage { SERVING, DRAINING, LEAVING };

struct life {
    struct life_settings settings;
    struct event *term, *interrupt, *hangup, *timer;
    enum stage stage;
    int64_t until_ns; /* of the stage */
    bool was_forced;
};

static void enter(struct life *life, enum stage stage, int64_t ns)
{
    const struct timeval wait = clock_timeval(ns);
    life->stage = stage;
    life->until_ns = clock_now_ns() + ns;
    evtimer_add(life->timer, &wait);
}

static void force(struct life *life)
{
    if (life->stage == LEAVING)
        return;
    life->was_forced = !life->settings.finish(life->settings.context);
    life->settings.give_up(life->settings.context);
    enter(life, LEAVING, LAST_WORDS_NS);
}

static void on_end(evutil_socket_t number, short what, void *context)
{
    struct life *life = context;
    (void)number, (void)what;
    if (life->stage != SERVING) {
        force(life);
        return;
    }
    enter(life, DRAINING, life->settings.drain_ns);
    life->settings.drain(life->settings.context);
}

static void on_hangup(evutil_socket_t number, short what, void *context)
{
    struct life *life = context;
    (void)number, (void)what;
    life->settings.reload(life->settings.context);
}

/* life_step() looks at the time, after the turn. */
static void on_time(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what, (void)context;
}

static struct event *on_signal(struct event_base *base, int number, event_callback_fn call,
                               struct life *life)
{
    struct event *event = evsignal_new(base, number, call, life);
    evsignal_add(event, NULL);
    return event;
}

struct life *life_create(struct event_base *base, const struct life_settings *settings)
{
    struct life *life = memory_alloc(1, sizeof *life);
    life->settings = *settings;
    life->term = on_signal(base, SIGTERM, on_end, life);
    life->interrupt = on_signal(base, SIGINT, on_end, life);
    life->hangup = on_signal(base, SIGHUP, on_hangup, life);
    life->timer = evtimer_new(base, on_time, life);
    return life;
}

void life_destroy(struct life *life)
{
    if (life == NULL)
        return;
    event_free(life->term);
    event_free(life->interrupt);
    event_free(life->hangup);
    event_free(life->timer);
    memory_free(life);
}

bool life_step(struct life *life)
{
    if (life->stage == SERVING)
        return false;
    const bool is_late = clock_now_ns() >= life->until_ns;
    if (life->settings.finish(life->settings.context) || (life->stage == LEAVING && is_late))
        return true;
    if (is_late)
        force(life);
    return false;
}

bool life_was_forced(const struct life *life) { return life->was_forced; }
