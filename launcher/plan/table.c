#include "kernels/dtype.h"
#include "launcher/bytes_text.h"
#include "launcher/plan/memory_plan.h"
#include "launcher/plan/output.h"
#include "runtime/options/options.h"

#include <string.h>

/* A size in a column of 12. */
static void cell(FILE *out, int64_t n_bytes)
{
    char text[BYTES_TEXT];
    fprintf(out, "%12s", bytes_text(text, n_bytes));
}

static void print_row(int rank, const int64_t *column, size_t n, FILE *out)
{
    fprintf(out, "%4d", rank);
    for (size_t c = 0; c < n; c++)
        cell(out, column[c]);
    fprintf(out, "\n");
}

static void print_layout(const struct memory_plan *plan, int64_t n_replicas, FILE *out)
{
    const struct plan_limits *limits = &plan->models.plan.limits[PLAN_TARGET];
    if (n_replicas > 1)
        fprintf(out, "%lld replicas of ", (long long)n_replicas);
    fprintf(out, "tp %d x pp %d: %d rank%s of %d thread%s, %d tokens and %d sequences a step\n",
            plan->tp_size, plan->pp_stages, plan->n_ranks, plan->n_ranks == 1 ? "" : "s",
            plan->n_threads, plan->n_threads == 1 ? "" : "s", limits->max_tokens,
            limits->max_sequences);
}

static void print_head(const struct memory_plan *plan, const struct options *options, FILE *out)
{
    const struct model *model = plan->models.model[PLAN_TARGET];
    const struct model_config *config = &model->config;
    fprintf(out, "%s\n", options->model);
    fprintf(out, "  %s, %s: %d layers, hidden %d, %d heads, %d KV heads, MLP %d, vocabulary %d\n",
            config->architecture, dtype_name(model->compute), config->n_layers, config->hidden,
            config->n_heads, config->n_kv_heads, config->ffn, config->vocab);
    if (plan->models.folder[PLAN_DRAFT] != NULL)
        fprintf(out, "  drafts by %s, on the first stage\n", plan->models.folder[PLAN_DRAFT]);
    print_layout(plan, options->data_parallel_size, out);
}

/* Which rank; its layers, and its leaves of attention and MLP of all of them. */
static void print_rank(const struct planned_rank *rank, FILE *out)
{
    char layers[24], leaves[24];
    snprintf(layers, sizeof layers, "%d-%d", rank->layers.lo, rank->layers.hi - 1);
    snprintf(leaves, sizeof leaves, "%d, %d", rank->head_leaves, rank->ffn_leaves);
    fprintf(out, "%4d %9s %7s", rank->place.world_rank, layers, leaves);
}

static void print_weights(const struct memory_plan *plan, FILE *out)
{
    fprintf(out, "\nweights\nrank    layers  leaves   embedding   attention         MLP       norms"
                 "        head      copied\n");
    for (int i = 0; i < plan->n_ranks; i++) {
        const struct planned_rank *rank = &plan->rank[i];
        print_rank(rank, out);
        for (int kind = 0; kind < WEIGHT_KINDS; kind++)
            cell(out, rank->kind_bytes[kind]);
        cell(out, rank->bytes.copied);
        fprintf(out, "\n");
    }
}

static void print_memory(const struct memory_plan *plan, int64_t n_replicas, FILE *out)
{
    int64_t all = 0;
    char text[BYTES_TEXT];
    fprintf(out,
            "\nmemory%s\nrank     weights    KV cache activations      shared     threads"
            "      tables         all\n",
            plan->models.on_gpu ? " of the host (tables: with what is pinned for the GPU)" : "");
    for (int i = 0; i < plan->n_ranks; i++) {
        const struct rank_bytes *bytes = &plan->rank[i].bytes;
        const int64_t column[] = {
            rank_bytes_weights(bytes), bytes->kv,      bytes->activations,
            bytes->communication,      bytes->threads, bytes->tables + bytes->pinned,
            rank_bytes_total(bytes)};
        print_row(i, column, sizeof column / sizeof *column, out);
        all += rank_bytes_total(bytes);
    }
    fprintf(out, "all ranks%s %s, and the program and its libraries: 4 MB a rank, with MPI 15\n",
            n_replicas > 1 ? " of each replica" : "", bytes_text(text, all));
}

static void print_gpu_memory(const struct memory_plan *plan, const struct options *options,
                             FILE *out)
{
    char context[BYTES_TEXT], reserve[BYTES_TEXT];
    if (!plan->models.on_gpu)
        return;
    fprintf(out, "\nmemory of the GPU\nrank     weights    KV cache activations   workspace      "
                 "shared         all\n");
    for (int i = 0; i < plan->n_ranks; i++) {
        const struct gpu_bytes *bytes = &plan->rank[i].bytes.gpu;
        const int64_t column[] = {bytes->weights,       bytes->kv,
                                  bytes->activations,   bytes->workspace,
                                  bytes->communication, gpu_bytes_total(bytes)};
        print_row(i, column, sizeof column / sizeof *column, out);
    }
    if (options->memory > 0)
        fprintf(out, "about %s more for the driver and its libraries, %s are kept for graphs\n",
                bytes_text(context, GPU_CONTEXT_BYTES),
                bytes_text(reserve, gpu_reserve_bytes(options->memory)));
    else
        fprintf(out,
                "about %s more for the driver and its libraries; a job fills the GPU with KV "
                "cache: --memory 80g says with how much\n",
                bytes_text(context, GPU_CONTEXT_BYTES));
}

/* Attention and MLP: of one layer. Logits: of each row that is wanted. */
static void print_wire(const struct memory_plan *plan, FILE *out)
{
    fprintf(out, "\nreceived from other ranks for each token (attention and MLP: of one layer; "
                 "steps: of all)\n"
                 "rank   embedding   attention         MLP  small steps large steps   hand-over"
                 "  logits row\n");
    for (int i = 0; i < plan->n_ranks; i++) {
        const struct wire_bytes *wire = &plan->rank[i].wire;
        const int64_t column[] = {wire->embedding,  wire->attention,   wire->mlp,   wire->sums,
                                  wire->sums_large, wire->handed_over, wire->logits};
        print_row(i, column, sizeof column / sizeof *column, out);
    }
}

static void print_cache(const struct memory_plan *plan, const struct options *options, FILE *out)
{
    const struct plan_limits *limits = &plan->models.plan.limits[PLAN_TARGET];
    char block[BYTES_TEXT];
    fprintf(out, "\nKV cache  %s, %d blocks of %d positions, %s each on rank 0: %lld tokens\n",
            dtype_name((enum dtype)plan->models.memory.kv_dtype), limits->n_kv_blocks,
            limits->block_tokens, bytes_text(block, plan->rank[0].block_bytes),
            (long long)plan->kv_tokens);
    if (plan->n_sequences > 0)
        fprintf(out, "fits      %lld sequence%s of the greatest length, %d, at once\n",
                (long long)plan->n_sequences, plan->n_sequences == 1 ? "" : "s",
                limits->max_model_len);
    else
        fprintf(out, "fits      one sequence of %lld positions, none of the greatest length, %d\n",
                (long long)plan->longest, limits->max_model_len);
    if (options->memory > 0)
        fprintf(out, "start with --kv-cache-memory-bytes %lld\n",
                (long long)memory_plan_kv_bytes(plan));
}

void plan_print_table(const struct memory_plan *plan, const struct options *options, FILE *out)
{
    print_head(plan, options, out);
    print_weights(plan, out);
    print_memory(plan, options->data_parallel_size, out);
    print_gpu_memory(plan, options, out);
    if (plan->n_ranks > 1)
        print_wire(plan, out);
    print_cache(plan, options, out);
}
