/* tests/library/demo.h: what tests of libphalanx share: the demo model, open. */
#pragma once
#include "launcher/library/phalanx.h"

#include <stdbool.h>
#include <stddef.h>

#define DEMO    SOURCE_DIR "/demo/model"
#define GREEDY  "{\"temperature\": 0, \"max_tokens\": 12}"
#define LONG    "{\"temperature\": 0, \"max_tokens\": 200, \"ignore_eos\": true}"
#define ENDLESS "{\"temperature\": 0, \"max_tokens\": 1900, \"ignore_eos\": true}"
#define PROMPT  "Once upon a time"

extern struct phalanx_error err; /* of the call before */

struct phalanx_model *open_demo(void); /* or the test fails */
/* One that takes half a minute for an ENDLESS answer, and starts no ranks again. */
struct phalanx_model *open_slow_demo(void);
/* What a greedy answer to PROMPT is. */
void expect_text(struct phalanx_model *model, const char *want);

/* A text function over a struct seen: keeps what comes, and does what the test wants. */
struct seen {
    char text[4096];
    size_t n;
    int n_calls;
    int most_calls;                                /* 0: any; then the rest is refused */
    struct phalanx_request *cancel, *release;      /* at the first call */
    bool (*then)(struct phalanx_request *request); /* at each call */
};
bool see(void *context, struct phalanx_request *request, int choice, const char *text,
         size_t n_bytes);

/* All children of this process, with SIGKILL. Skips the test where the system does not list them.
 */
void kill_ranks(void);
/* Closes a model of one rank, and says how that ended: its exit status, or minus the signal. */
int close_and_see(struct phalanx_model *model);
