/* launcher/serve/life.h: how a server is asked to end, and how it ends.
 *
 *   serving ── SIGTERM, SIGINT ──> draining ── nothing in flight ──> over, exit 0
 *                                     │
 *                                     └── second signal, or --drain-timeout ──> over, exit 3
 *
 * Draining, it tells those that ask that it is not ready (503), and finishes what was let in. What
 * is left at the end of its time gets an error. SIGHUP reads the keys and the certificate again.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct life;

struct life_settings { /* borrowed context */
    int64_t drain_ns;
    void (*drain)(void *context);  /* once: from now on nobody is let in */
    void (*reload)(void *context); /* SIGHUP */
    /* Each turn after drain(): closes what nobody waits for. True: nothing is in flight, and
     * everything is sent. */
    bool (*finish)(void *context);
    void (*give_up)(void *context); /* what is in flight gets an error */
    void *context;
};

struct life *life_create(struct event_base *base, const struct life_settings *settings);
void life_destroy(struct life *life); /* NULL is fine */
/* After each turn of the loop. True: it is over. */
bool life_step(struct life *life);
bool life_was_forced(const struct life *life); /* it ended with requests in flight */
