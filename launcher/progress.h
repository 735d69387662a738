/* launcher/progress.h: how far something long is, on standard error.
 *
 * On a terminal a bar that is drawn again a few times a second: done and all, tokens or bytes a
 * second, time left; where the line is too short, as much of that as there is room for. What
 * another process writes meanwhile begins on a line of its own. Elsewhere one line for every tenth.
 * Nothing while `quiet`.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    const char *what; /* "prompts" */
    size_t total;     /* 0: not known; may grow */
    bool quiet, is_terminal, drawn;
    bool of_bytes; /* `done` and `total` are, and their rate is shown instead of that of tokens */
    int64_t begin_ns, drawn_ns;
    int64_t patience_ns; /* from the begin on nothing is shown for so long */
    size_t tenths;       /* that were told */
};

void progress_begin(struct progress *out, const char *what, size_t total, bool quiet);
/* Of bytes, and of something that is often over before anyone waits for it. total is 0 at first. */
void progress_begin_bytes(struct progress *out, const char *what, bool quiet);
/* So many are done; n_tokens in all. Cheap: it may be called for every token. */
void progress_update(struct progress *progress, size_t done, uint64_t n_tokens);
/* The same at this time of clock_now_ns(). */
void progress_update_at(struct progress *progress, size_t done, uint64_t n_tokens, int64_t now_ns);
/* Takes the bar away, so that a line can be printed where it stands. */
void progress_hide(struct progress *progress);
/* The last line: what was done, how long it took. */
void progress_end(struct progress *progress, size_t done, uint64_t n_tokens);
