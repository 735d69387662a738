#include "launcher/bench/load.h"

#include "base/error.h"
#include "base/memory.h"
#include "launcher/bench/random.h"
#include "launcher/bench/trace.h"
#include "launcher/prompt_file.h"
#include "runtime/options/options.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { DEFAULT_INPUT = 1024 }; /* vLLM's */

struct load_prompt {
    char *text; /* NULL: ids */
    struct ids ids;
};

static uint64_t seed_of(const struct options *options)
{
    return options->seed >= 0 ? (uint64_t)options->seed : 0;
}

/* ---- arrivals ---- */

/* As vLLM does it, the gaps are stretched so that the last request comes at n / rate: then runs
 * with different seeds offer the same load, and not only on average. */
static void set_arrivals(struct load *load)
{
    const double rate = load->options->bench.request_rate;
    uint64_t state = seed_of(load->options);
    double at = 0;
    if (isinf(rate))
        return;
    for (size_t i = 0; i < load->n; i++) {
        at += random_gamma(&state, load->options->bench.burstiness);
        load->request[i].arrival_s = at;
    }
    const double stretch = (double)load->n / rate / at;
    for (size_t i = 0; i < load->n; i++)
        load->request[i].arrival_s *= stretch;
}

/* ---- prompts ---- */

static void add_prompt(struct load *load, size_t *capacity, const struct file_prompt *prompt)
{
    if (load->n_prompts == *capacity) {
        *capacity = 2 * *capacity + 64;
        load->prompt = memory_resize(load->prompt, *capacity, sizeof *load->prompt);
    }
    struct load_prompt *out = &load->prompt[load->n_prompts++];
    *out = (struct load_prompt){0};
    if (prompt->ids.n > 0)
        ids_add_all(&out->ids, prompt->ids.data, prompt->ids.n);
    else
        out->text = memory_copy_text(prompt->text.data);
}

static bool read_dataset(struct load *load, const volatile sig_atomic_t *interrupt,
                         struct error *err)
{
    struct prompt_file file;
    struct file_prompt prompt = {0};
    size_t capacity = 0;
    bool got = true;
    bool good = prompt_file_open(&file, load->options->bench.dataset, interrupt, err);
    while (good && got && load->n_prompts < load->n) {
        good = prompt_file_next(&file, &prompt, &got, err);
        if (good && got && load->is_chat && prompt.ids.n > 0)
            good = error_set(err, ERROR_INPUT, "%s:%zu: a chat has no prompt of token ids",
                             file.name, file.n_lines);
        if (good && got)
            add_prompt(load, &capacity, &prompt);
    }
    prompt_file_close(&file);
    file_prompt_release(&prompt);
    return good || error_in(err, "--dataset");
}

/* ---- both ---- */

static bool make_from_trace(struct load *load, const volatile sig_atomic_t *interrupt,
                            struct error *err)
{
    const struct options *options = load->options;
    const bool is_counted = options_is_given(options, "--num-prompts");
    const size_t max = is_counted ? (size_t)options->bench.num_prompts : SIZE_MAX;
    struct trace trace;
    bool good = true;
    for (int i = 0; good && i < 4; i++) {
        static const char *const others[] = {"--request-rate", "--input-len", "--output-len",
                                             "--dataset"};
        if (options_is_given(options, others[i]))
            good = error_set(err, ERROR_INPUT, "--trace says what %s says: give one of them",
                             others[i]);
    }
    if (!good || !trace_read(&trace, options->bench.trace, max, interrupt, err))
        return false;
    load->n = trace.n;
    load->request = memory_alloc(load->n, sizeof *load->request);
    for (size_t i = 0; i < load->n; i++)
        load->request[i] =
            (struct load_request){.arrival_s = trace.row[i].arrival_s / options->bench.trace_speed,
                                  .n_input = trace.row[i].n_input,
                                  .n_output = trace.row[i].n_output};
    trace_release(&trace);
    return true;
}

bool load_make(struct load *out, const struct options *options,
               const volatile sig_atomic_t *interrupt, struct error *err)
{
    const int64_t n_input = options->bench.input_len;
    *out = (struct load){.options = options,
                         .is_chat = strcmp(options->bench.endpoint, "/v1/completions") != 0};
    if (options->bench.trace != NULL)
        return make_from_trace(out, interrupt, err);
    out->n = (size_t)options->bench.num_prompts;
    out->request = memory_alloc(out->n, sizeof *out->request);
    if (options->bench.dataset != NULL && !read_dataset(out, interrupt, err))
        return false;
    for (size_t i = 0; i < out->n; i++)
        out->request[i] = (struct load_request){
            .n_input = out->n_prompts > 0 ? (int)out->prompt[i % out->n_prompts].ids.n
                       : n_input > 0      ? (int)n_input
                                          : DEFAULT_INPUT,
            .n_output = (int)options->bench.output_len};
    set_arrivals(out);
    return true;
}

/* ---- bodies ---- */

static void add_json_text(struct bytes *out, const char *text)
{
    json_t *value = json_string(text);
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    bytes_add_text(out, quoted != NULL ? quoted : "\"\""); /* it was checked to be UTF-8 */
    json_decref(value);
    free(quoted);
}

static void add_ids(struct bytes *out, const struct ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        bytes_printf(out, "%s%d", i > 0 ? "," : "[", ids->data[i]);
    bytes_add_text(out, "]");
}

/* The requests of one run differ from their first token on, so that none is in the cache of
 * prefixes because of another. */
static uint64_t prompt_state(const struct load *load, size_t i)
{
    uint64_t state = seed_of(load->options) ^ (uint64_t)(load->first + i + 1) << 32;
    return random_next(&state);
}

static void add_random_ids(struct bytes *out, const struct load *load, size_t i)
{
    const uint64_t vocab = (uint64_t)load->options->bench.vocab_size;
    uint64_t state = prompt_state(load, i);
    for (int k = 0; k < load->request[i].n_input; k++)
        bytes_printf(out, "%s%llu", k > 0 ? "," : "[",
                     (unsigned long long)(random_next(&state) % vocab));
    bytes_add_text(out, "]");
}

/* Words that are one token in most vocabularies, so that their number is about the number wanted;
 * what counts is what the server counts. */
static void add_random_words(struct bytes *out, const struct load *load, size_t i)
{
    static const char *const words[] = {
        "the",  "of",   "and",  "to",  "in",   "is",    "you",  "that", "it",   "he",   "was",
        "for",  "on",   "are",  "as",  "with", "his",   "they", "at",   "be",   "this", "have",
        "from", "or",   "one",  "had", "by",   "word",  "but",  "not",  "what", "all",  "were",
        "we",   "when", "your", "can", "said", "there", "use",  "an",   "each", "which"};
    uint64_t state = prompt_state(load, i);
    bytes_add_text(out, "\"");
    for (int k = 0; k < load->request[i].n_input; k++)
        bytes_printf(out, "%s%s", k > 0 ? " " : "",
                     words[random_next(&state) % (sizeof words / sizeof *words)]);
    bytes_add_text(out, "\"");
}

static void add_prompt_json(struct bytes *out, const struct load *load, size_t i)
{
    const struct load_prompt *prompt =
        load->n_prompts > 0 ? &load->prompt[i % load->n_prompts] : NULL;
    if (prompt != NULL && prompt->text == NULL)
        add_ids(out, &prompt->ids);
    else if (prompt != NULL)
        add_json_text(out, prompt->text);
    else if (load->is_chat)
        add_random_words(out, load, i);
    else
        add_random_ids(out, load, i);
}

void load_body(struct bytes *out, const struct load *load, size_t i, const char *model)
{
    const struct options *options = load->options;
    bytes_clear(out);
    bytes_add_text(out, "{\"model\":");
    add_json_text(out, model);
    bytes_add_text(out, load->is_chat ? ",\"messages\":[{\"role\":\"user\",\"content\":"
                                      : ",\"prompt\":");
    add_prompt_json(out, load, i);
    bytes_printf(out, "%s,\"%s\":%d,\"stream\":true,\"stream_options\":{\"include_usage\":true}",
                 load->is_chat ? "}]" : "", load->is_chat ? "max_completion_tokens" : "max_tokens",
                 load->request[i].n_output);
    if (options->ignore_eos)
        bytes_add_text(out, ",\"ignore_eos\":true");
    if (options_is_given(options, "--temperature"))
        bytes_printf(out, ",\"temperature\":%.15g", options->temperature);
    bytes_add_text(out, "}");
}

void load_release(struct load *load)
{
    for (size_t i = 0; i < load->n_prompts; i++) {
        memory_free(load->prompt[i].text);
        ids_release(&load->prompt[i].ids);
    }
    memory_free(load->prompt);
    memory_free(load->request);
    *load = (struct load){0};
}
