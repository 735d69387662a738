#include "launcher/bench/load.h"

#include "base/error.h"
#include "base/memory.h"
#include "launcher/bench/body_tail.h"
#include "launcher/bench/random.h"
#include "launcher/bench/trace.h"
#include "runtime/options/options.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { DEFAULT_INPUT = 1024 }; /* vLLM's */

static uint64_t seed_of(const struct options *options)
{
    return options->seed >= 0 ? (uint64_t)options->seed : 0;
}

/* ---- arrivals ---- */

static bool check_ramp(const struct options *options, struct error *err)
{
    if (options->bench.ramp_up_strategy == NULL)
        return true;
    if (options_is_given(options, "--request-rate"))
        return error_set(err, ERROR_INPUT,
                         "--request-rate says what --ramp-up-strategy says: give one of them");
    if (options->bench.ramp_up_start_rps <= 0 || options->bench.ramp_up_end_rps <= 0)
        return error_set(err, ERROR_INPUT,
                         "--ramp-up-strategy goes from --ramp-up-start-rps R to "
                         "--ramp-up-end-rps R: give both");
    return options->bench.ramp_up_start_rps <= options->bench.ramp_up_end_rps ||
           error_set(err, ERROR_INPUT, "--ramp-up-start-rps %g is more than --ramp-up-end-rps %g",
                     options->bench.ramp_up_start_rps, options->bench.ramp_up_end_rps);
}

/* Requests a second around request i; of a ramp as vLLM has it, over requests and not over time. */
static double rate_at(const struct load *load, size_t i)
{
    const struct options *options = load->options;
    const char *strategy = options->bench.ramp_up_strategy;
    const double begin = options->bench.ramp_up_start_rps, end = options->bench.ramp_up_end_rps;
    const double progress = load->n > 1 ? (double)i / (double)(load->n - 1) : 0;
    if (strategy == NULL)
        return options->bench.request_rate;
    return strcmp(strategy, "linear") == 0 ? begin + (end - begin) * progress
                                           : begin * pow(end / begin, progress);
}

/* The gaps are stretched so that the last request comes when it should, which is at n / rate
 * without a ramp: then runs with different seeds offer the same load, and not only on average. vLLM
 * does so too, but leaves the gaps of a ramp as they are drawn. */
static void set_arrivals(struct load *load)
{
    uint64_t state = seed_of(load->options);
    double at = 0, should = 0;
    if (isinf(rate_at(load, 0)))
        return;
    for (size_t i = 0; i < load->n; i++) {
        const double rate = rate_at(load, i);
        at += random_gamma(&state, load->options->bench.burstiness) / rate;
        should += 1 / rate;
        load->request[i].arrival_s = at;
    }
    for (size_t i = 0; i < load->n; i++)
        load->request[i].arrival_s *= should / at;
}

/* ---- lengths ---- */

static int draw_length(uint64_t *state, int64_t length, double ratio)
{
    const double least = floor((double)length * (1 - ratio));
    const double most = ceil((double)length * (1 + ratio));
    const double drawn = least + floor(random_uniform(state) * (most - least + 1));
    return drawn < 1 ? 1 : (int)drawn;
}

static void set_random_lengths(struct load *load)
{
    const struct options *options = load->options;
    const int64_t n_input = options->bench.input_len > 0 ? options->bench.input_len : DEFAULT_INPUT;
    const double ratio = options->bench.random_range_ratio;
    uint64_t state = ~seed_of(options);
    for (size_t i = 0; i < load->n; i++) {
        load->request[i].n_input = draw_length(&state, n_input, ratio);
        load->request[i].n_output = draw_length(&state, options->bench.output_len, ratio);
    }
}

static void set_lengths_of_dataset(struct load *load)
{
    for (size_t i = 0; i < load->n; i++) {
        load->request[i].n_input = (int)load->dataset.prompt[i % load->dataset.n].ids.n;
        load->request[i].n_output = (int)load->options->bench.output_len;
    }
}

/* ---- prompts ---- */

/* Of which kind the prompts are; NULL: the options contradict each other. */
static const char *dataset_name(const struct options *options, struct error *err)
{
    const char *path = options->bench.dataset, *name = options->bench.dataset_name;
    const char *meant = name != NULL ? name : path != NULL ? "custom" : "random";
    const bool is_random = strcmp(meant, "random") == 0;
    if (is_random == (path != NULL)) {
        error_set(err, ERROR_INPUT,
                  is_random ? "--dataset-name random has no --dataset-path"
                            : "--dataset-name %s needs --dataset-path FILE",
                  meant);
        return NULL;
    }
    if (!is_random && options_is_given(options, "--random-range-ratio")) {
        error_set(err, ERROR_INPUT, "--random-range-ratio is of random prompts, not of --dataset");
        return NULL;
    }
    return meant;
}

static bool make_prompts(struct load *load, const volatile sig_atomic_t *interrupt,
                         struct error *err)
{
    const char *path = load->options->bench.dataset;
    const char *name = dataset_name(load->options, err);
    if (name == NULL)
        return false;
    if (strcmp(name, "random") == 0) {
        set_random_lengths(load);
        return true;
    }
    const bool good =
        strcmp(name, "sharegpt") == 0
            ? dataset_read_sharegpt(&load->dataset, path, load->n, interrupt, err)
            : dataset_read_custom(&load->dataset, path, load->n, load->is_chat, interrupt, err);
    if (!good)
        return error_in(err, "--dataset");
    set_lengths_of_dataset(load);
    return true;
}

/* ---- both ---- */

static bool make_from_trace(struct load *load, const volatile sig_atomic_t *interrupt,
                            struct error *err)
{
    static const char *const others[] = {
        "--request-rate", "--ramp-up-strategy", "--input-len",          "--output-len",
        "--dataset",      "--dataset-name",     "--random-range-ratio",
    };
    const struct options *options = load->options;
    const bool is_counted = options_is_given(options, "--num-prompts");
    const size_t max = is_counted ? (size_t)options->bench.num_prompts : SIZE_MAX;
    struct trace trace;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (options_is_given(options, others[i]))
            return error_set(err, ERROR_INPUT, "--trace says what %s says: give one of them",
                             others[i]);
    const bool good = trace_read(&trace, options->bench.trace, max, interrupt, err);
    load->n = good ? trace.n : 0;
    load->request = memory_alloc(load->n, sizeof *load->request);
    for (size_t i = 0; i < load->n; i++)
        load->request[i] =
            (struct load_request){.arrival_s = trace.row[i].arrival_s / options->bench.trace_speed,
                                  .n_input = trace.row[i].n_input,
                                  .n_output = trace.row[i].n_output};
    trace_release(&trace);
    return good;
}

bool load_make(struct load *out, const struct options *options,
               const volatile sig_atomic_t *interrupt, struct error *err)
{
    *out = (struct load){.options = options,
                         .is_chat = strcmp(options->bench.endpoint, "/v1/completions") != 0};
    if (!body_tail_add(&out->tail, options, err))
        return false;
    if (options->bench.trace != NULL)
        return make_from_trace(out, interrupt, err);
    if (!check_ramp(options, err))
        return false;
    out->n = (size_t)options->bench.num_prompts;
    out->request = memory_alloc(out->n, sizeof *out->request);
    if (!make_prompts(out, interrupt, err))
        return false;
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
    const struct dataset *dataset = &load->dataset;
    const struct dataset_prompt *prompt = dataset->n > 0 ? &dataset->prompt[i % dataset->n] : NULL;
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
    bytes_clear(out);
    bytes_add_text(out, "{\"model\":");
    add_json_text(out, model);
    bytes_add_text(out, load->is_chat ? ",\"messages\":[{\"role\":\"user\",\"content\":"
                                      : ",\"prompt\":");
    add_prompt_json(out, load, i);
    bytes_printf(out, "%s,\"%s\":%d", load->is_chat ? "}]" : "",
                 load->is_chat ? "max_completion_tokens" : "max_tokens", load->request[i].n_output);
    bytes_add(out, load->tail.data, load->tail.len);
    bytes_add_text(out, "}");
}

void load_release(struct load *load)
{
    dataset_release(&load->dataset);
    bytes_release(&load->tail);
    memory_free(load->request);
    *load = (struct load){0};
}
