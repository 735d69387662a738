/* launcher/session.h: a model that answers: its tokenizer here, its ranks started and linked.
 *
 * Opening starts the ranks first and reads the tokenizer while they load.
 */
#pragma once
#include "launcher/job.h"
#include "runtime/gateway/dispatch.h"
#include "runtime/gateway/intake.h"

#include <signal.h>
#include <stdbool.h>

struct error;
struct options;

struct session {
    struct job job;
    struct link *link;
    struct dispatch *dispatch;
    struct intake intake;
    const volatile sig_atomic_t *interrupt; /* borrowed; not 0: the user wants out */
    const char *model_folder;               /* borrowed */
    int vocab, max_model_len;
    int max_num_seqs;          /* sequences that the engine runs at once, at least 1 */
    int n_labels, hidden_size; /* of the head of a model that scores (0: none), of its vectors */
    int n_threads;             /* of all ranks */
    int64_t weight_bytes, kv_tokens; /* of all ranks */
    char dtype[16];
    char about[160]; /* "BF16, tp 2 x pp 1, avx512 kernels, shm": one line of demo */
};

/* Checks what needs no ranks before it starts them. session_close() also after a failure. */
bool session_open(struct session *out, const struct options *options, const char *model_folder,
                  const volatile sig_atomic_t *interrupt, struct error *err);
/* Ends the ranks in good order, with a bound. */
void session_close(struct session *session);
