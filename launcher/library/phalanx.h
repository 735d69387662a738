/* launcher/library/phalanx.h: Phalanx in your own program: open a model, ask it, read answers.
 *
 * phalanx_open() starts the ranks of a model as processes of their own and speaks with them over a
 * socket; nothing is computed in your process. docs/library.md is the tutorial.
 *
 *     struct phalanx_error err;
 *     struct phalanx_model *model = phalanx_open("demo/model", NULL, 0, &err);
 *     struct phalanx_request *answer = phalanx_generate(model, "Once upon a time",
 *                                                       "{\"max_tokens\": 32}", &err);
 *     puts(phalanx_text(answer, 0, NULL));
 *     phalanx_release(answer);
 *     phalanx_close(model);
 *
 * Threads. A model and its requests belong to one thread: the one that opened it. It has to live as
 * long as the model, since the ranks end with it. Several models in one process are fine, in one
 * thread or in several.
 *
 * Processes. The library starts children and reaps them by their numbers. It sets no handler of a
 * signal, and SIGPIPE never comes of it. It prints one line on standard error when ranks are lost
 * and started again; the ranks print there why they end.
 *
 * Errors. A function that can fail returns NULL or false and fills *err, which may be NULL where
 * you do not care. Texts are UTF-8.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PHALANX_API __attribute__((visibility("default")))

enum phalanx_error_kind {
    PHALANX_NO_ERROR = 0,
    PHALANX_ERROR_INPUT = 1,       /* what was given is wrong */
    PHALANX_ERROR_LIMIT = 2,       /* too much at once, or too late: try again */
    PHALANX_ERROR_UNSUPPORTED = 3, /* this model, build or machine cannot do it */
    PHALANX_ERROR_SYSTEM = 4,      /* a file, a socket, memory, a device */
    PHALANX_ERROR_PEER = 5,        /* the ranks are lost for good: close the model */
};

struct phalanx_error {
    enum phalanx_error_kind kind;
    char text[512]; /* for people */
    char param[48]; /* the parameter that is wrong: "temperature"; "": none */
    char code[32];  /* for programs: "context_length_exceeded", "deadline_exceeded"; "": none */
};

PHALANX_API const char *phalanx_version(void); /* of the library: "0.1.0" */

/* ---- a model ---- */

struct phalanx_model;

/* model: the folder of a checkpoint, or the name of one in the Hugging Face cache.
 * option: [n_options] words of the command line, one word an option: "--tensor-parallel-size=2".
 * docs/options.md has them all: those of the command `libphalanx`. Sampling options are defaults of
 * the requests that do not say them. Waits until the ranks are ready. */
PHALANX_API struct phalanx_model *phalanx_open(const char *model, const char *const *option,
                                               int n_options, struct phalanx_error *err);
/* Ends the ranks, and frees the model with all requests that were not released. NULL is fine. Not
 * from a phalanx_text_fn. */
PHALANX_API void phalanx_close(struct phalanx_model *model);

/* One line: number format, ranks, kernels, context, memory. */
PHALANX_API const char *phalanx_about(const struct phalanx_model *model);
/* Tokens that a prompt and its answer may have together. */
PHALANX_API int phalanx_max_model_len(const struct phalanx_model *model);

/* ---- one question at a time: these wait for the answer ---- */

struct phalanx_request; /* a question and its answer; phalanx_release() it */

/* parameters: a JSON object with the names of POST /v1/completions: temperature, top_p, top_k,
 * min_p, max_tokens, min_tokens, n, seed, stop, stop_token_ids, ignore_eos, logit_bias, bad_words,
 * priority, deadline_ms and so on; NULL: none. A name that is not known is an error: err->param has
 * it. Where nobody says max_tokens it is 16, and of a chat what fits. */
PHALANX_API struct phalanx_request *phalanx_generate(struct phalanx_model *model,
                                                     const char *prompt, const char *parameters,
                                                     struct phalanx_error *err);
/* messages: a JSON array: [{"role": "user", "content": "Hi"}]. The parameters may also have tools,
 * documents, chat_template_kwargs, add_generation_prompt and continue_final_message. */
PHALANX_API struct phalanx_request *phalanx_chat(struct phalanx_model *model, const char *messages,
                                                 const char *parameters, struct phalanx_error *err);

enum phalanx_task {
    PHALANX_EMBED = 0,    /* a vector of length 1 */
    PHALANX_SCORE = 1,    /* one number: a reward of a text, or how well two texts go together */
    PHALANX_CLASSIFY = 2, /* a probability for each label */
};
/* other: the second text of PHALANX_SCORE, else NULL. */
PHALANX_API struct phalanx_request *phalanx_measure(struct phalanx_model *model,
                                                    enum phalanx_task task, const char *text,
                                                    const char *other, struct phalanx_error *err);

/* ---- several at once, and streams: ask, then run ---- */

/* New text of a choice (0 of an answer without "n"), whole characters, with a NUL behind them. It
 * is called from phalanx_run(), phalanx_step() and phalanx_wait(), never from a phalanx_ask. It may
 * ask, and cancel; it must not run, release or close. False: the rest is not wanted. */
typedef bool phalanx_text_fn(void *context, struct phalanx_request *request, int choice,
                             const char *text, size_t n_bytes);

/* As above, without waiting. on_text may be NULL. What is asked goes to the ranks at once; answers
 * come in phalanx_run(). NULL: refused, and nothing is asked. */
PHALANX_API struct phalanx_request *phalanx_ask(struct phalanx_model *model, const char *prompt,
                                                const char *parameters, phalanx_text_fn *on_text,
                                                void *context, struct phalanx_error *err);
PHALANX_API struct phalanx_request *phalanx_ask_chat(struct phalanx_model *model,
                                                     const char *messages, const char *parameters,
                                                     phalanx_text_fn *on_text, void *context,
                                                     struct phalanx_error *err);
PHALANX_API struct phalanx_request *phalanx_ask_measure(struct phalanx_model *model,
                                                        enum phalanx_task task, const char *text,
                                                        const char *other,
                                                        struct phalanx_error *err);

/* Until every request has ended; whether one failed is told by phalanx_wait(). False: the ranks are
 * lost for good, and all requests have failed. */
PHALANX_API bool phalanx_run(struct phalanx_model *model, struct phalanx_error *err);
/* For who has a loop: takes what there is, and waits for it at most so long (it may return sooner,
 * with nothing). */
PHALANX_API bool phalanx_step(struct phalanx_model *model, int timeout_ms,
                              struct phalanx_error *err);
/* Until this one has ended; others get on meanwhile. False: it failed, and *err says why. */
PHALANX_API bool phalanx_wait(struct phalanx_request *request, struct phalanx_error *err);
PHALANX_API bool phalanx_is_done(const struct phalanx_request *request);

/* Nothing more is computed. It is done, with the text that came until then; choices that had not
 * ended have the finish reason "abort". */
PHALANX_API void phalanx_cancel(struct phalanx_request *request);
/* Cancels and frees. NULL is fine. */
PHALANX_API void phalanx_release(struct phalanx_request *request);

/* ---- answers, also while they come; what is returned is valid until the next step ---- */

PHALANX_API int phalanx_choices(const struct phalanx_request *request); /* "n" */
/* n_bytes may be NULL: a NUL stands behind the text. */
PHALANX_API const char *phalanx_text(const struct phalanx_request *request, int choice,
                                     size_t *n_bytes);
PHALANX_API const int32_t *phalanx_tokens(const struct phalanx_request *request, int choice,
                                          size_t *n);
/* "stop", "length", "abort" or "error"; NULL while it goes on. */
PHALANX_API const char *phalanx_finish_reason(const struct phalanx_request *request, int choice);
/* Of phalanx_measure(): the vector, the score, or the probabilities. */
PHALANX_API const float *phalanx_values(const struct phalanx_request *request, size_t *n);

struct phalanx_counts {
    int64_t prompt_tokens, completion_tokens;
    int64_t cached_tokens; /* of the prompt, that had been computed before */
};
PHALANX_API struct phalanx_counts phalanx_usage(const struct phalanx_request *request);

#ifdef __cplusplus
}
#endif
