/* runtime/gateway/sleepers.h: which engines are asleep, or on their way there and back.
 *
 *   asked for   an engine     is sent          works
 *   awake       awake                          yes
 *   asleep      awake         LINK_SLEEP *     until it is sent
 *   asleep      asleep                         no
 *   awake       asleep        LINK_SLEEP       when it has answered
 *
 *   * when nothing is in flight any more. An engine that comes is awake, so it is sent to sleep
 *     too.
 *
 * An engine is asked one thing at a time: it may answer two questions in one, and who has asked
 * twice could not tell which of them it has heard.
 */
#pragma once
#include "runtime/gateway/journal.h"
#include "runtime/link/engine_link.h"

#include <stdbool.h>

/* good: it is as it was asked for; else something else was asked for meanwhile. */
typedef void sleepers_fn(void *context, bool good);

struct sleepers { /* all zero: nobody is there, and all shall be awake */
    enum link_sleep wanted;
    sleepers_fn *done; /* NULL: nobody waits */
    void *context;
    struct sleeper {
        bool is_there, is_asked; /* it has not answered yet */
        enum link_sleep asked;   /* what it was sent last */
    } engine[JOURNAL_MAX_ENGINES];
};

void sleepers_come(struct sleepers *sleepers, int engine);
void sleepers_leave(struct sleepers *sleepers, int engine);
/* An answer. False: nobody asked for that. */
bool sleepers_hear(struct sleepers *sleepers, int engine, enum link_sleep sleep);
/* Whether it can be given requests. */
bool sleepers_is_awake(const struct sleepers *sleepers, int engine);

/* A new wish; whoever waits for the one before is told so. */
void sleepers_ask(struct sleepers *sleepers, enum link_sleep wanted, sleepers_fn *done,
                  void *context);
/* The next engine that has to be sent something, and what; false: none. idle: nothing is in flight.
 */
bool sleepers_next(struct sleepers *sleepers, bool idle, int *engine, struct link_command *command);
/* Calls `done`, once, when all engines that are there are as it was asked for. */
void sleepers_tell(struct sleepers *sleepers, bool idle);
