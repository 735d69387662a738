/* launcher/job/restarts.h: when ranks that are gone are started again, and when no more.
 *
 * At once for the first time, then later and later: 0, 0.5, 1, 2, 4 s … A start that came to
 * something (a request got something, or the ranks stood for a minute) makes the next loss the
 * first one again. Time is an argument.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct restarts {     /* zero, but for `most` */
    int most;         /* starts again in a row that came to nothing */
    int n;            /* so far */
    int64_t ready_ns; /* since when the ranks stand; 0: they do not */
};

void restarts_note_ready(struct restarts *restarts, int64_t now_ns);
/* The ranks are gone. *start_ns: when to start them again; false: they came to nothing too often.
 * `progressed`: a request got something from them. */
bool restarts_allow(struct restarts *restarts, int64_t now_ns, bool progressed, int64_t *start_ns);
