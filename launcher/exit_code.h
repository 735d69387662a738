/* launcher/exit_code.h: what the exit status of our programs means. */
#pragma once

struct error;

enum exit_code {
    EXIT_CLEAN = 0,
    EXIT_BAD_INPUT = 2,    /* options, files, models: fix what the message names */
    EXIT_DRAIN_FORCED = 3, /* a server ended with requests in flight: they got an error */
    EXIT_RANK_LOST = 70,
    EXIT_INTERNAL = 71,
    EXIT_IO = 74,
    EXIT_INTERRUPTED = 130,
};

/* From here on a broken check(), which has printed its line, ends this program with EXIT_INTERNAL.
 */
void exit_code_catch_bugs(void);

enum exit_code exit_code_of(const struct error *err);
