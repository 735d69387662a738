/* launcher/library/library.h: what stands behind the structs of phalanx.h.
 *
 *   model.c  opened, asked about, closed        parameters.c  JSON -> what is asked
 *   watch.c  one file to wait for its ranks     ask.c         questions, sent
 *   run.c    rounds: wait, take, tell           answer.c      what is kept of answers
 *   text.c   text to tokens and back            request.c     from new to released
 */
#pragma once
#include "base/error.h"
#include "base/memory.h"
#include "launcher/library/phalanx.h"
#include "launcher/service.h"
#include "runtime/api/generate.h"
#include "runtime/api/pool.h"

#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* ---- what its ranks are waited for by: one file that stands for all ---- */

struct library_watch {
    int all;          /* epoll of the three below: phalanx_fd(); -1: not open */
    int ranks;        /* epoll of file[] */
    int timer;        /* when the session wants to look, whatever comes */
    int wakeup;       /* eventfd of phalanx_interrupt() */
    int64_t timer_ns; /* when the timer is due, of clock_now_ns() */
    struct pollfd file[SESSION_MAX_WATCHED];
    int n_files;
    uint64_t n_changes; /* of the session, when they were put there */
};

/* watch_close() also after a failure, and of -1 everywhere. */
bool watch_open(struct library_watch *out, struct error *err);
void watch_close(struct library_watch *watch);
/* What the session waits for now is what the watch waits for. */
bool watch_update(struct library_watch *watch, struct session *session, struct error *err);
/* Nothing is waited for any more, and the file is never readable again. */
void watch_stop(struct library_watch *watch);
/* Until something is there, at most timeout_ms (-1: any time). *interrupted: phalanx_interrupt()
 * was called since. */
bool watch_wait(struct library_watch *watch, int timeout_ms, bool *interrupted, struct error *err);

/* ---- a model ---- */

struct phalanx_model {
    struct options options;
    struct arena words; /* of the options, which point into them */
    struct service service;
    struct library_watch watch;
    locale_t numbers;                               /* "C": they have a point in our texts */
    locale_t theirs;                                /* of the program, while a round is under way */
    pid_t process;                                  /* that opened it */
    volatile sig_atomic_t interrupt;                /* always 0: signals are the program's */
    struct phalanx_request *first;                  /* all that were not released */
    struct phalanx_request *first_done, *last_done; /* of them, those whose end is to be told */
    size_t n_open;                                  /* those that are not done */
    struct error loss; /* why there will be no more rounds; kind ERROR_NONE: there will */
    bool is_ready;     /* service.api is there */
    bool is_running;   /* a phalanx_text_fn may be under way */
    bool any_unwanted; /* of them, cancelled or released while it was */
    char label[24];
};

/* Whether it is there, and this process has opened it. */
bool model_may_run(const struct phalanx_model *model, struct error *err);
/* Whether its ranks are not lost for good; else *err is why they are. */
bool model_has_ranks(const struct phalanx_model *model, struct error *err);
/* Whether model_may_run(), and what it is is known. */
bool model_is_usable(const struct phalanx_model *model, struct error *err);
/* After a round: it can be asked as soon as its ranks are ready. */
bool model_be_ready(struct phalanx_model *model, struct error *err);
/* Whether it is this process that has it, and not a copy of fork(). */
bool model_is_ours(const struct phalanx_model *model);

/* ---- a request ---- */

struct library_rows { /* log-probabilities; row i has the entries before end[i] */
    struct phalanx_logprob *entry;
    size_t n_entries, capacity;
    struct ids end;
    size_t n_taken; /* rows of the gateway that are here */
};

struct library_choice {
    struct bytes text; /* what is echoed, and the answer */
    size_t n_echo, n_told;
    struct ids token;
    struct library_rows logprobs;
    double cumulative_logprob, score;
    const char *finish, *stop_text; /* stop_text is in the request's arena */
    int32_t stop_token;
};

struct phalanx_request {
    struct phalanx_model *model;
    struct phalanx_request *previous, *next;
    struct phalanx_request *done_previous, *done_next;
    struct generate_call *generate; /* both NULL once it is done */
    struct pool_call *pool;
    phalanx_text_fn *on_text;
    void *context;
    struct ids prompt;
    struct library_rows prompt_logprobs; /* of its tokens but the first */
    struct library_choice *choice;       /* [n_choices] */
    int n_choices;
    float *value;
    size_t n_values;
    struct api_usage usage;
    int64_t n_drafted, n_accepted;
    uint64_t seed;
    struct error failure; /* kind ERROR_NONE: none */
    struct arena arena;   /* texts of tokens */
    bool has_logprobs, is_beam;
    bool is_listed;   /* among those whose end is to be told */
    bool is_unwanted; /* cancelled while a phalanx_text_fn may have been under way, */
    bool is_released; /* and released */
    bool is_awaited;  /* a phalanx_wait() looks at it: it frees what was released */
};

struct phalanx_request *request_new(struct phalanx_model *model);
void request_free(struct phalanx_request *r);
/* Its choices, all empty but for what each begins with; sent from now on. */
void request_be_open(struct phalanx_request *r, int n_choices, const struct bytes *echo);
/* What was cancelled and released while answers were looked at ends here. */
void requests_end_unwanted(struct phalanx_model *model);
/* It has ended, and is the last of those to be told. */
void request_be_done(struct phalanx_request *r);
/* It is told, or will not be. */
void request_be_told(struct phalanx_request *r);

void answer_take_usage(struct phalanx_request *r, const struct generate_call *call);
/* Choices that have not ended, end. */
void answer_abort(struct phalanx_request *r);
extern const struct generate_listener answer_listener; /* without a context: that is the request */
extern const struct pool_listener answer_values_listener;

/* ---- what is asked ---- */

/* The request with all that the JSON says, whose texts it borrows. The JSON and the arena live as
 * long as it is needed. */
struct library_parameters {
    json_t *json, *messages;
    struct arena arena;
    bool echo;
};
/* Of a completion, a chat (its messages, too) and a measure. parameters_release() also after a
 * failure. */
bool parameters_read(struct library_parameters *out, struct generate_request *request,
                     const char *parameters, struct error *err);
bool parameters_read_chat(struct library_parameters *out, struct generate_request *request,
                          const char *messages, const char *parameters, struct error *err);
bool parameters_read_measure(struct library_parameters *out, struct pool_request *request,
                             const char *parameters, struct error *err);
void parameters_release(struct library_parameters *parameters);

/* ---- what is told ---- */

/* Fills the user's error, where one is wanted. Always false. */
bool library_fail(struct phalanx_error *out, const struct error *err);
