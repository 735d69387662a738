/* launcher/session.h: a model that answers: its tokenizer here, its ranks started and linked.
 *
 * Opening starts the ranks first and reads the tokenizer while they load. Ranks that are lost are
 * started again, and the requests that they had go on with the tokens they would have had: of a
 * loss users see one line on standard error. With -dp there are several engines, each with ranks of
 * its own, and the loss of one costs one.
 */
#pragma once
#include "launcher/job/replica.h"
#include "launcher/loading_bar.h"
#include "runtime/gateway/dispatch.h"
#include "runtime/gateway/intake.h"
#include "runtime/options/options.h"

#include <signal.h>
#include <stdbool.h>

struct error;
struct pollfd;

struct session_times {    /* of session_open(), of clock_now_ns() */
    int64_t begin_ns;     /* before a process was started */
    int64_t connected_ns; /* rank 0 (of the last replica) was heard */
    int64_t text_ns;      /* the tokenizer was read, while ranks load */
    int64_t ready_ns;
};

struct session {
    const struct options *options; /* borrowed */
    struct replica *replica;       /* [n_replicas] */
    int n_replicas;
    struct dispatch *dispatch;
    struct intake intake;
    const volatile sig_atomic_t *interrupt; /* borrowed; not 0: the user wants out */
    const char *model_folder;               /* borrowed */
    bool is_open; /* all replicas were ready at once: what follows is known */
    struct session_times times;
    struct loading_bar bar; /* of session_open() */
    uint64_t n_changes;     /* grows whenever files may have been closed and opened */
    uint64_t model_mark;
    int vocab, max_model_len;
    int max_num_seqs;          /* sequences that the engines run at once, at least 1 */
    int n_labels, hidden_size; /* of the head of a model that scores (0: none), of its vectors */
    int n_threads;             /* of all ranks of a replica */
    int tp, pp;                /* of a replica */
    int64_t weight_bytes, kv_tokens; /* of all ranks of a replica */
    char dtype[16], gpu[64];         /* gpu: its name; "": the ranks compute on CPUs */
    char about[224]; /* "BF16, tp 2 x pp 1, avx512 kernels, shm": one line of demo */
};

/* What options and small files alone tell, before a process is started for it. */
bool session_check(const struct options *options, const char *model_folder, struct error *err);

/* Checks what needs no ranks, starts them, and reads the tokenizer meanwhile: session_step() goes
 * on until is_open. With options->engine_fd it starts none, and that engine's end is the session's.
 * session_close() also after a failure. */
bool session_begin(struct session *out, const struct options *options, const char *model_folder,
                   const volatile sig_atomic_t *interrupt, struct error *err);
/* Begins it and waits until it is open. ERROR_LIMIT when *interrupt is not 0. */
bool session_open(struct session *out, const struct options *options, const char *model_folder,
                  const volatile sig_atomic_t *interrupt, struct error *err);

/* Calls listeners of session->dispatch until at most `at_most` requests are in flight, and starts
 * ranks again that are lost. False when they are lost for good (every request has failed then), or
 * with ERROR_LIMIT when *interrupt is not 0. */
bool session_run(struct session *session, size_t at_most, struct error *err);

/* For who has an event loop: one round of the above without waiting, with all that is there. False
 * as above, but *interrupt is the caller's to look at. The next round is due when one of the files
 * of session_watch() has something, when its time is there (clock_now_ns), and after requests were
 * submitted or cancelled. */
enum { SESSION_MAX_WATCHED = (REPLICA_MAX_WATCHED + 1) * OPTIONS_MAX_REPLICAS };
bool session_step(struct session *session, struct error *err);
/* out[SESSION_MAX_WATCHED]; *n: how many there are. Valid until the next round. The same number may
 * be another file when session->n_changes is not what it was. */
void session_watch(struct session *session, struct pollfd *out, int *n, int64_t *until_ns);

/* Ends the ranks in good order, with a bound. */
void session_close(struct session *session);
