/* The walk of the checkpoint gives the weights, in its order; then each gets its place, and those
 * that are read together follow the first of them. */
#include "runtime/model/device_layout.h"

#include "base/memory.h"
#include "kernels/dtype.h"
#include "runtime/model/family.h"

enum {
    WEIGHT_ALIGN = 256, /* what a GPU fetches at once, and more than any load asks for */
    ROW_ALIGN = 16,     /* kernels/tensor.h, struct weight */
    LAYER_SLOTS = 64    /* more than a layer has in the walk */
};

static size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

size_t piece_row_bytes(const struct piece *piece)
{
    return (size_t)piece->row_stride * dtype_bytes(piece->part.wanted);
}

/* ---- one weight ---- */

static bool has_padded_leaves(const struct model *model, const struct slot *slot)
{
    return slot->columns != DIM_NONE && model->compute != DTYPE_F32;
}

static struct leaves leaves_of(const struct model *model, const struct slot *slot, int n_columns)
{
    const struct model_share *share = &model->share;
    if (has_padded_leaves(model, slot) && slot->columns == DIM_HEADS)
        return share->attention_leaves;
    if (has_padded_leaves(model, slot) && slot->columns == DIM_FFN)
        return share->mlp_leaves;
    return leaves_one(n_columns);
}

static int64_t row_stride_of(const struct model *model, const struct slot *slot,
                             const struct piece *piece)
{
    const size_t element = dtype_bytes(piece->part.wanted);
    const int64_t n_columns = piece->part.shape.n_columns;
    if (has_padded_leaves(model, slot))
        return leaves_k_padded(&piece->leaves);
    if (slot->columns == DIM_NONE)
        return n_columns; /* one row: nothing comes behind it */
    return (int64_t)(round_up((size_t)n_columns * element, ROW_ALIGN) / element);
}

static bool collect(void *context, const struct slot *slot, const char *name, struct weight *weight)
{
    struct device_layout *layout = context;
    struct piece piece = {.part = weight_part(layout->model, slot, name), .weight = weight};
    if (piece.part.home != PART_ON_DEVICE)
        return true;
    if (layout->n == layout->capacity) {
        layout->capacity = layout->capacity * 2 + 64;
        layout->piece =
            memory_resize(layout->piece, (size_t)layout->capacity, sizeof *layout->piece);
    }
    piece.leaves = leaves_of(layout->model, slot, (int)piece.part.shape.n_columns);
    piece.row_stride = row_stride_of(layout->model, slot, &piece);
    piece.n_bytes = (size_t)piece.part.shape.n_rows * piece_row_bytes(&piece);
    layout->piece[layout->n++] = piece;
    return true;
}

/* ---- all ---- */

static void place(struct device_layout *layout, struct piece *piece, bool behind)
{
    piece->at = round_up(layout->n_bytes, behind ? ROW_ALIGN : WEIGHT_ALIGN);
    piece->is_placed = true;
    layout->n_bytes = piece->at + piece->n_bytes;
    layout->placed[layout->n_placed++] = piece;
}

/* A weight of the same layer, which is near in the walk. NULL: the model has none. */
static struct piece *find_piece(struct device_layout *layout, int from, const struct weight *weight)
{
    const int last = layout->n - from < LAYER_SLOTS ? layout->n : from + LAYER_SLOTS;
    for (int i = from; i < last; i++)
        if (layout->piece[i].weight == weight)
            return &layout->piece[i];
    return NULL;
}

/* What is read together: these weights of a layer, in this order. */
#define FIELD(name) offsetof(struct layer_weights, name)
static const struct {
    size_t field[3];
    int n;
} together[] = {{{FIELD(q_proj), FIELD(k_proj), FIELD(v_proj)}, 3},
                {{FIELD(q_bias), FIELD(k_bias), FIELD(v_bias)}, 3},
                {{FIELD(gate_proj), FIELD(up_proj)}, 2},
                {{FIELD(gate_bias), FIELD(up_bias)}, 2}};
enum { N_TOGETHER = sizeof together / sizeof *together };

/* The layer that a weight belongs to; NULL: it is one of the ends of the model. */
static const struct layer_weights *layer_of(const struct model *model, const struct weight *weight)
{
    const uintptr_t first = (uintptr_t)model->layer, at = (uintptr_t)weight;
    const size_t size = sizeof *model->layer;
    if (at < first || at >= first + (size_t)model->config.n_layers * size)
        return NULL;
    return &model->layer[(at - first) / size];
}

static void place_with_followers(struct device_layout *layout, int i)
{
    struct piece *piece = &layout->piece[i];
    const struct layer_weights *layer = layer_of(layout->model, piece->weight);
    place(layout, piece, false);
    if (layer == NULL)
        return;
    const size_t field = (size_t)((const char *)piece->weight - (const char *)layer);
    for (int t = 0; t < N_TOGETHER; t++) {
        for (int k = 1; together[t].field[0] == field && k < together[t].n; k++) {
            const void *at = (const char *)layer + together[t].field[k];
            struct piece *next = find_piece(layout, i + 1, at);
            if (next != NULL)
                place(layout, next, true);
        }
    }
}

void device_layout_make(struct device_layout *out, const struct model *model)
{
    *out = (struct device_layout){.model = model};
    weights_visit((struct model *)(uintptr_t)model, collect, out);
    out->placed = memory_alloc((size_t)out->n, sizeof *out->placed);
    for (int i = 0; i < out->n; i++)
        if (!out->piece[i].is_placed)
            place_with_followers(out, i);
    out->n_bytes = round_up(out->n_bytes, WEIGHT_ALIGN);
}

void device_layout_release(struct device_layout *layout)
{
    memory_free(layout->placed);
    memory_free(layout->piece);
}
