#include "kernels/dtype.h"
#include "launcher/plan/memory_plan.h"
#include "launcher/plan/output.h"
#include "runtime/options/options.h"

#include <jansson.h>

struct field {
    const char *name;
    int64_t value;
};

static json_t *numbers(const struct field *field, size_t n)
{
    json_t *out = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(out, field[i].name, json_integer(field[i].value));
    return out;
}

static json_t *weights_json(const struct planned_rank *rank)
{
    const struct field field[] = {{"embedding", rank->kind_bytes[WEIGHT_EMBEDDING]},
                                  {"attention", rank->kind_bytes[WEIGHT_ATTENTION]},
                                  {"mlp", rank->kind_bytes[WEIGHT_MLP]},
                                  {"norms", rank->kind_bytes[WEIGHT_NORM]},
                                  {"head", rank->kind_bytes[WEIGHT_HEAD]}};
    return numbers(field, sizeof field / sizeof *field);
}

/* The words of the line that a running rank says of itself (rank/main.c). */
static json_t *memory_json(const struct rank_bytes *bytes)
{
    const struct field field[] = {{"mapped", bytes->mapped},
                                  {"copied", bytes->copied},
                                  {"kv", bytes->kv},
                                  {"activations", bytes->activations},
                                  {"communication", bytes->communication},
                                  {"threads", bytes->threads},
                                  {"pinned", bytes->pinned},
                                  {"tables", bytes->tables},
                                  {"total", rank_bytes_total(bytes)}};
    return numbers(field, sizeof field / sizeof *field);
}

static json_t *gpu_json(const struct gpu_bytes *bytes)
{
    const struct field field[] = {{"weights", bytes->weights},
                                  {"kv", bytes->kv},
                                  {"activations", bytes->activations},
                                  {"workspace", bytes->workspace},
                                  {"communication", bytes->communication},
                                  {"total", gpu_bytes_total(bytes)}};
    return numbers(field, sizeof field / sizeof *field);
}

static json_t *wire_json(const struct wire_bytes *wire)
{
    const struct field field[] = {{"embedding", wire->embedding},
                                  {"attention_layer", wire->attention},
                                  {"mlp_layer", wire->mlp},
                                  {"sums", wire->sums},
                                  {"sums_large_step", wire->sums_large},
                                  {"hand_over", wire->handed_over},
                                  {"logits_row", wire->logits}};
    return numbers(field, sizeof field / sizeof *field);
}

static json_t *rank_json(const struct planned_rank *rank)
{
    const struct field field[] = {
        {"rank", rank->place.world_rank},        {"stage", rank->place.pp_stage},
        {"first_layer", rank->layers.lo},        {"n_layers", span_length(rank->layers)},
        {"attention_leaves", rank->head_leaves}, {"mlp_leaves", rank->ffn_leaves},
        {"kv_block", rank->block_bytes}};
    json_t *out = numbers(field, sizeof field / sizeof *field);
    json_object_set_new(out, "weights", weights_json(rank));
    json_object_set_new(out, "memory", memory_json(&rank->bytes));
    if (gpu_bytes_total(&rank->bytes.gpu) > 0)
        json_object_set_new(out, "gpu_memory", gpu_json(&rank->bytes.gpu));
    json_object_set_new(out, "received_per_token", wire_json(&rank->wire));
    return out;
}

void plan_print_json(const struct memory_plan *plan, const struct options *options, FILE *out)
{
    const struct plan_limits *limits = &plan->models.plan.limits[PLAN_TARGET];
    const struct model *model = plan->models.model[PLAN_TARGET];
    const struct field field[] = {{"tp", plan->tp_size},
                                  {"pp", plan->pp_stages},
                                  {"dp", options->data_parallel_size},
                                  {"threads", plan->n_threads},
                                  {"max_tokens", limits->max_tokens},
                                  {"max_sequences", limits->max_sequences},
                                  {"max_model_len", limits->max_model_len},
                                  {"block_tokens", limits->block_tokens},
                                  {"kv_blocks", limits->n_kv_blocks},
                                  {"kv_cache_memory_bytes", memory_plan_kv_bytes(plan)},
                                  {"kv_tokens", plan->kv_tokens},
                                  {"sequences", plan->n_sequences},
                                  {"longest_sequence", plan->longest}};
    json_t *whole = numbers(field, sizeof field / sizeof *field);
    json_t *ranks = json_array();
    for (int i = 0; i < plan->n_ranks; i++)
        json_array_append_new(ranks, rank_json(&plan->rank[i]));
    json_object_set_new(whole, "model", json_string(options->model));
    json_object_set_new(whole, "architecture", json_string(model->config.architecture));
    json_object_set_new(whole, "dtype", json_string(dtype_name(model->compute)));
    json_object_set_new(whole, "kv_dtype",
                        json_string(dtype_name((enum dtype)plan->models.memory.kv_dtype)));
    json_object_set_new(whole, "ranks", ranks);
    json_dumpf(whole, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(whole);
}
