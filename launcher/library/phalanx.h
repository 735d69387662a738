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
 * Threads. Calls about one model and its requests must not overlap; which threads they come from
 * does not matter. Only phalanx_interrupt() may come at any time, from any thread or signal
 * handler. Ranks end with the thread that started them: that of phalanx_open(), and after a loss
 * that of the round which started them again. So it has to live as long as the model. Several
 * models in one process are fine, in one thread or in several.
 *
 * Processes. The library starts children and reaps them by their numbers. It sets no handler of a
 * signal, none of yours runs in its children, and SIGPIPE never comes of it. Its files are closed
 * by exec(); standard input, output and error have to be open, if only on /dev/null. A child of
 * fork() may look at answers and do no more: what would ask fails, what would end something does
 * nothing. One line on standard error says that ranks are lost and started again; the ranks print
 * there why they end. The level of the log (option --log-level) is that of the process: the model
 * opened last sets it. The locale of the program does not matter, and stays as it is.
 *
 * Errors. A function that can fail returns NULL or false and fills *err, which may be NULL where
 * you do not care. Texts are UTF-8. NULL for a model or a request is an error of input, or an empty
 * answer where nothing can fail. After phalanx_close() and phalanx_release() what was there is gone
 * like memory after free().
 *
 * Growing. Programs that were built against this header run with all later libraries of the same
 * soname: functions and values of enums are only added, and structs grow inside of `reserved`.
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
    PHALANX_ERROR_INTERRUPTED = 6, /* by phalanx_interrupt(): nothing is lost, go on or cancel */
};

struct phalanx_error {
    enum phalanx_error_kind kind;
    char text[512]; /* for people */
    char param[64]; /* the parameter that is wrong: "temperature"; "": none */
    char code[64];  /* for programs: "context_length_exceeded", "deadline_exceeded"; "": none */
    char reserved[380];
};

/* Of this header: 10000 * major + 100 * minor + patch. */
#define PHALANX_VERSION_NUMBER 100
PHALANX_API const char *phalanx_version(void); /* of the library: "0.1.0" */

/* ---- a model ---- */

struct phalanx_model;

/* model: the folder of a checkpoint, or the name of one in the Hugging Face cache.
 * option: [n_options] words of the command line, one word an option: "--tensor-parallel-size=2".
 * docs/options.md has them all: those of the command `libphalanx`. Sampling options are defaults of
 * the requests that do not say them. Waits until the ranks are ready. */
PHALANX_API struct phalanx_model *phalanx_open(const char *model, const char *const *option,
                                               int n_options, struct phalanx_error *err);
/* The same without waiting, for who has a loop: phalanx_step() goes on with it until it is ready,
 * phalanx_run() waits for that. Before, a question is refused with the code "not_ready". */
PHALANX_API struct phalanx_model *phalanx_begin(const char *model, const char *const *option,
                                                int n_options, struct phalanx_error *err);
PHALANX_API bool phalanx_is_ready(const struct phalanx_model *model);
/* Ends the ranks, and frees the model with all requests that were not released. NULL is fine. Never
 * from a phalanx_text_fn: that ends the program. */
PHALANX_API void phalanx_close(struct phalanx_model *model);

/* What is known when it is ready, and until then "" and 0. One line: number format, ranks, kernels,
 * context, memory. */
PHALANX_API const char *phalanx_about(const struct phalanx_model *model);
/* Tokens that a prompt and its answer may have together. */
PHALANX_API int phalanx_max_model_len(const struct phalanx_model *model);
PHALANX_API int phalanx_vocab_size(const struct phalanx_model *model); /* ids are below it */
PHALANX_API int phalanx_embedding_size(const struct phalanx_model *model);
/* Of a model that classifies: how many labels, and their names; 0 and NULL without. The name is
 * valid until the next call. */
PHALANX_API int phalanx_labels(const struct phalanx_model *model);
PHALANX_API const char *phalanx_label(struct phalanx_model *model, int label);

/* ---- one question at a time: these wait for the answer ---- */

struct phalanx_request; /* a question and its answer; phalanx_release() it */

/* parameters: a JSON object with the names of POST /v1/completions: temperature, top_p, top_k,
 * min_p, max_tokens, min_tokens, n, seed, stop, logprobs, logit_bias, echo, priority, deadline_ms
 * and so on: docs/library.md has them all; NULL: none. A name that is not known is an error:
 * err->param has it. Where nobody says max_tokens it is 16, and of a chat what fits. */
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
/* other: the second text of PHALANX_SCORE, else NULL. parameters: dimensions, normalize,
 * truncate_prompt_tokens, add_special_tokens, priority, deadline_ms. */
PHALANX_API struct phalanx_request *phalanx_measure(struct phalanx_model *model,
                                                    enum phalanx_task task, const char *text,
                                                    const char *other, const char *parameters,
                                                    struct phalanx_error *err);

/* ---- several at once, and streams: ask, then run ---- */

/* Something new of a choice (0 of an answer without "n"): its new text, whole characters, with a
 * NUL behind them. n_bytes may be 0: a token has given no text yet, or the choice has ended or
 * failed without more, as phalanx_finish_reason() says then. What was cancelled is told no more. It
 * is called from phalanx_run(), phalanx_step() and phalanx_wait(), never from a phalanx_ask. It may
 * look at answers, ask, cancel, and release; it must not run or close, and it has to return (no
 * longjmp, no exception). False: the rest is not wanted. */
typedef bool phalanx_text_fn(void *context, struct phalanx_request *request, int choice,
                             const char *text, size_t n_bytes);

/* As above, without waiting. on_text may be NULL. What is asked goes to the ranks at once; answers
 * come in phalanx_run(). NULL: refused, and nothing is asked. */
PHALANX_API struct phalanx_request *phalanx_ask(struct phalanx_model *model, const char *prompt,
                                                const char *parameters, phalanx_text_fn *on_text,
                                                void *context, struct phalanx_error *err);
/* token: [n_tokens] the ids of the prompt, just as they are. */
PHALANX_API struct phalanx_request *phalanx_ask_tokens(struct phalanx_model *model,
                                                       const int32_t *token, size_t n_tokens,
                                                       const char *parameters,
                                                       phalanx_text_fn *on_text, void *context,
                                                       struct phalanx_error *err);
PHALANX_API struct phalanx_request *phalanx_ask_chat(struct phalanx_model *model,
                                                     const char *messages, const char *parameters,
                                                     phalanx_text_fn *on_text, void *context,
                                                     struct phalanx_error *err);
PHALANX_API struct phalanx_request *phalanx_ask_measure(struct phalanx_model *model,
                                                        enum phalanx_task task, const char *text,
                                                        const char *other, const char *parameters,
                                                        struct phalanx_error *err);
PHALANX_API struct phalanx_request *
phalanx_ask_measure_tokens(struct phalanx_model *model, enum phalanx_task task,
                           const int32_t *token, size_t n_tokens, const char *parameters,
                           struct phalanx_error *err);

/* Yours: what was given as `context`, or set since. */
PHALANX_API void *phalanx_context(const struct phalanx_request *request);
PHALANX_API void phalanx_set_context(struct phalanx_request *request, void *context);

/* Until the model is ready and every request has ended; whether one failed is told by
 * phalanx_wait(). False: interrupted, or the ranks are lost for good, now or before, and all
 * requests have failed. */
PHALANX_API bool phalanx_run(struct phalanx_model *model, struct phalanx_error *err);
/* Until this one has ended; others get on meanwhile. False: it failed, and *err says why, or
 * interrupted: then it is not done. NULL, as an ask returned it: false, and *err is left as it was.
 */
PHALANX_API bool phalanx_wait(struct phalanx_request *request, struct phalanx_error *err);
PHALANX_API bool phalanx_is_done(const struct phalanx_request *request);
/* A request that has ended, in whatever way: each once, in the order of their ends; NULL: no more
 * by now. */
PHALANX_API struct phalanx_request *phalanx_next_done(struct phalanx_model *model);

/* For who has a loop: takes what there is, and waits for it at most so long (0: not at all; it may
 * return sooner, with nothing). False: as phalanx_run(). */
PHALANX_API bool phalanx_step(struct phalanx_model *model, int timeout_ms,
                              struct phalanx_error *err);
/* A file for poll(), select() or epoll, the same as long as the model is open, and never to be
 * read: it is readable when phalanx_step() has something to do, also without requests (a few times
 * a second the ranks are looked after). Ranks that are lost for good leave nothing to do. */
PHALANX_API int phalanx_fd(const struct phalanx_model *model);
/* The wait that is under way, else the next one, returns false with PHALANX_ERROR_INTERRUPTED; a
 * phalanx_step() returns true, at once. Any thread, any signal handler, while the model is open. */
PHALANX_API void phalanx_interrupt(const struct phalanx_model *model);

/* Nothing more is computed. It is done, with the text that came until then; choices that had not
 * ended have the finish reason "abort". Called by a phalanx_text_fn, it is done once the wait or
 * step that called that goes on. */
PHALANX_API void phalanx_cancel(struct phalanx_request *request);
/* Cancels and frees. NULL is fine. */
PHALANX_API void phalanx_release(struct phalanx_request *request);

/* ---- answers, also while they come; what is returned is valid until the next step ---- */

PHALANX_API int phalanx_choices(const struct phalanx_request *request); /* "n" */
/* n_bytes may be NULL: a NUL stands behind the text. */
PHALANX_API const char *phalanx_text(const struct phalanx_request *request, int choice,
                                     size_t *n_bytes);
/* Ids of the answer; n may be NULL. */
PHALANX_API const int32_t *phalanx_tokens(const struct phalanx_request *request, int choice,
                                          size_t *n);
/* Ids of the prompt, as the model read it. */
PHALANX_API const int32_t *phalanx_prompt_tokens(const struct phalanx_request *request, size_t *n);
/* "stop", "length", "abort" or "error"; NULL while it goes on. */
PHALANX_API const char *phalanx_finish_reason(const struct phalanx_request *request, int choice);
/* Why it is "stop": the text of "stop" that was found, or the id of "stop_token_ids"; NULL and -1:
 * the model ended it, or it has not ended so. */
PHALANX_API const char *phalanx_stop_text(const struct phalanx_request *request, int choice);
PHALANX_API int32_t phalanx_stop_token(const struct phalanx_request *request, int choice);

struct phalanx_logprob {
    int32_t token;
    int32_t rank;  /* tokens that were at least as likely: 1 is the best */
    float logprob; /* natural logarithm */
    float reserved_number;
    const char *text; /* the token alone; half a character is U+FFFD */
    size_t n_bytes;
    const void *reserved[2];
};
/* Token `index` of the answer: itself first, then the likeliest ones but for it. Without the
 * parameter "logprobs": NULL and 0. */
PHALANX_API const struct phalanx_logprob *phalanx_logprobs(const struct phalanx_request *request,
                                                           int choice, size_t index, size_t *n);
/* The same of the prompt, with the parameter "prompt_logprobs". The first token has none. */
PHALANX_API const struct phalanx_logprob *
phalanx_prompt_logprobs(const struct phalanx_request *request, size_t index, size_t *n);
/* The sum over the answer; NaN without log-probabilities. */
PHALANX_API double phalanx_cumulative_logprob(const struct phalanx_request *request, int choice);
/* Of beam search, by which choices are in order: the sum over length ^ length_penalty; else NaN. */
PHALANX_API double phalanx_beam_score(const struct phalanx_request *request, int choice);
/* With this "seed" the answer would be the same again. */
PHALANX_API uint64_t phalanx_seed(const struct phalanx_request *request);

/* Of phalanx_measure(): the vector, the score, or the probabilities. */
PHALANX_API const float *phalanx_values(const struct phalanx_request *request, size_t *n);

enum phalanx_count {
    PHALANX_PROMPT_TOKENS = 0,
    PHALANX_COMPLETION_TOKENS = 1, /* of all choices */
    PHALANX_CACHED_TOKENS = 2,     /* of the prompt, that had been computed before */
    PHALANX_DRAFTED_TOKENS = 3,    /* speculation: guesses, */
    PHALANX_ACCEPTED_TOKENS = 4,   /* and those that were right */
};
/* Whole at the end; -1: there is no such count. */
PHALANX_API int64_t phalanx_usage(const struct phalanx_request *request, enum phalanx_count count);

/* ---- text and tokens, without the ranks; phalanx_free() what is returned ---- */

/* Or-ed. */
enum phalanx_tokenize_flag {
    PHALANX_ADD_SPECIAL = 1 << 0,  /* what the tokenizer puts around a prompt, as begin-of-text */
    PHALANX_READ_SPECIAL = 1 << 1, /* text that spells a special token is that token */
};
PHALANX_API int32_t *phalanx_tokenize(struct phalanx_model *model, const char *text, unsigned flags,
                                      size_t *n, struct phalanx_error *err);
/* The prompt that phalanx_chat() would make, as ids, and as text. Of the parameters only those that
 * the chat template sees count. */
PHALANX_API int32_t *phalanx_tokenize_chat(struct phalanx_model *model, const char *messages,
                                           const char *parameters, size_t *n,
                                           struct phalanx_error *err);
PHALANX_API char *phalanx_render_chat(struct phalanx_model *model, const char *messages,
                                      const char *parameters, size_t *n_bytes,
                                      struct phalanx_error *err);
/* n_bytes may be NULL: a NUL stands behind the text. */
PHALANX_API char *phalanx_detokenize(struct phalanx_model *model, const int32_t *token,
                                     size_t n_tokens, bool skip_special_tokens, size_t *n_bytes,
                                     struct phalanx_error *err);
/* The id of a token as tokenizer.json spells it: "<|im_end|>"; -1: there is none. */
PHALANX_API int32_t phalanx_find_token(const struct phalanx_model *model, const char *spelling);
PHALANX_API void phalanx_free(void *memory); /* NULL is fine */

#ifdef __cplusplus
}
#endif
