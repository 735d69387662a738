/* launcher/library/library.h: what stands behind the structs of phalanx.h. */
#pragma once
#include "base/error.h"
#include "base/memory.h"
#include "launcher/library/phalanx.h"
#include "launcher/service.h"
#include "runtime/api/generate.h"
#include "runtime/api/pool.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct phalanx_model {
    struct options options;
    struct arena words; /* of the options, which point into them */
    struct service service;
    volatile sig_atomic_t interrupt; /* always 0: signals are the program's */
    struct phalanx_request *first;   /* all that were not released */
    size_t n_open;                   /* of them, those that are not done */
    bool any_unwanted; /* of them, cancelled while the answers of ranks are looked at */
    bool is_running;   /* a phalanx_text_fn may be under way */
};

struct library_choice {
    struct bytes text;
    struct ids token;
    const char *finish;
};

struct phalanx_request {
    struct phalanx_model *model;
    struct phalanx_request *previous, *next;
    struct generate_call *generate; /* both NULL once it is done */
    struct pool_call *pool;
    phalanx_text_fn *on_text;
    void *context;
    struct library_choice *choice; /* [n_choices] */
    int n_choices;
    float *value;
    size_t n_values;
    struct phalanx_counts usage;
    struct error failure; /* kind ERROR_NONE: none */
    bool is_unwanted;     /* cancelled while the ranks' answers are looked at */
};

/* The request with all that the JSON says, whose texts it borrows. The JSON and the arena live as
 * long as it is needed. chat: its own parameters are known, too. */
struct library_parameters {
    json_t *json, *messages;
    struct arena arena;
};
/* parameters_release() also after a failure. */
bool parameters_read(struct library_parameters *out, struct generate_request *request,
                     const char *parameters, bool chat, struct error *err);
bool parameters_read_messages(struct library_parameters *out, struct generate_request *request,
                              const char *messages, struct error *err);
void parameters_release(struct library_parameters *parameters);

/* Fills the user's error, where one is wanted. Always false. */
bool library_fail(struct phalanx_error *out, const struct error *err);

/* Waits for what the ranks say, and takes it. timeout_ms: at most so long; -1: until something
 * ended. False: they are lost for good. */
bool library_round(struct phalanx_model *model, int timeout_ms, struct error *err);
