/* parallel/heart.h: something small that the main thread of a rank does now and then in the midst
 * of long work and long waits, such as to say that it is still there.
 *
 * The layers and the waits of communicators call heart_look(); the heart then beats, at most four
 * times a second. Nothing that beats may call a communicator. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct heart {
    /* waits: for another rank, else this one has just done something. NULL: nobody wants it. */
    void (*beat)(void *context, bool waits);
    void *context;
    int64_t next_ns; /* clock_now_ns: not before */
};

enum { HEART_MS = 250 };
void heart_look(struct heart *heart, bool waits); /* NULL is fine */
