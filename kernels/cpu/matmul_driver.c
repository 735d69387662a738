/* An item keeps a stack of partial sums, each the size of its part of the output, and runs the
 * postfix program of the leaves on it: a leaf pushes, a merge adds the topmost onto the one below.
 * What remains at the end are the parts of the output.
 *
 * Items are made so small that the stack fits C_BUDGET_BYTES, and so many that no thread waits long
 * for the last one. Neither changes a bit: K is never cut but at the leaves. */
#include "kernels/cpu/matmul_driver.h"

#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/device.h"

#include <string.h>

_Static_assert((int)C_BYTES >= MAX_LEAVES * (int)PANEL * (int)ITEM_TOKENS * 4,
               "no leaf merged, and the fewest outputs");
_Static_assert((int)C_BYTES + (int)KERNEL_SCRATCH_BYTES <= (int)CPU_SCRATCH_BYTES,
               "scratch is too small");

enum { ITEMS_PER_THREAD = 8 };

struct drive {
    const struct device *device;
    const struct matmul_args *args;
    const struct matmul_kernel *kernel;
    int item_rows, item_tokens;
    int n_strips; /* of item_tokens; items go through the strips of one run of outputs first */
};

/* Outputs [row, row + n_rows) of the tokens [token, token + n_tokens). */
struct item {
    int row, n_rows;
    int token, n_tokens;
    float *c;         /* the stack of partial sums */
    size_t c_numbers; /* of one of them */
    void *kernel_scratch;
};

static int stack_depth(const struct leaves *leaves)
{
    int depth = 0, deepest = 0;
    for (int i = 0; i < leaves->n_leaves; i++) {
        depth++;
        deepest = depth > deepest ? depth : deepest;
        depth -= leaves->leaf[i].n_merges;
    }
    return deepest;
}

static const void *x_from(const struct operand *x, int token)
{
    const int64_t elements = (int64_t)token * x->k_padded;
    return (const char *)x->data + elements * (int64_t)dtype_bytes(x->dtype);
}

static void add(float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] += b[i];
}

static void accumulate(const struct matmul_kernel *kernel, const struct matmul_block *block)
{
    if (!kernel->merges && block->is_first)
        memset(block->c, 0, block->c_numbers * sizeof *block->c);
    kernel->accumulate(block);
    float *c = block->c;
    for (int merge = 0; !kernel->merges && merge < block->n_merges; merge++, c -= block->c_numbers)
        add(c - block->c_numbers, c, block->c_numbers);
}

/* Adds the sum over one leaf, [k, leaf->k_end), to the stack, whose top is c; the leaf begins at
 * k_padded of the operand. */
static void sum_leaf(const struct drive *drive, const struct item *item, float *c, int k,
                     int k_padded, const struct leaf *leaf)
{
    const struct matmul_args *args = drive->args;
    const struct weight *weight = &args->weight;
    const int begin = k;
    for (int n_k; k < leaf->k_end; k += n_k, k_padded += n_k) {
        n_k = min_int(drive->kernel->k_step, leaf->k_end - k);
        const int64_t element = item->row * weight->row_stride + k;
        accumulate(drive->kernel, &(struct matmul_block){
                                      .c = c,
                                      .c_numbers = item->c_numbers,
                                      .is_first = k == begin,
                                      .n_merges = k + n_k == leaf->k_end ? leaf->n_merges : 0,
                                      .weight = (const char *)weight->data +
                                                element * (int64_t)dtype_bytes(weight->dtype),
                                      .weight_dtype = weight->dtype,
                                      .row_stride = weight->row_stride,
                                      .x = x_from(&args->x, item->token),
                                      .x_dtype = args->x.dtype,
                                      .x_k = k_padded,
                                      .k_padded = args->x.k_padded,
                                      .n_rows = item->n_rows,
                                      .n_tokens = item->n_tokens,
                                      .n_k = n_k,
                                      .n_k_left = args->x.k - k,
                                      .scratch = item->kernel_scratch,
                                  });
    }
}

/* Runs the program of the leaves; n_parts sums lie on the stack at the end. */
static void sum_parts(const struct drive *drive, const struct item *item)
{
    const struct leaves *leaves = drive->args->leaves;
    const bool padded = drive->args->x.dtype == DTYPE_BF16;
    float *top = item->c;
    int k = 0, k_padded = 0;
    for (int i = 0; i < leaves->n_leaves; i++) {
        const struct leaf *leaf = &leaves->leaf[i];
        sum_leaf(drive, item, top, k, k_padded, leaf);
        top += item->c_numbers;
        top -= (size_t)leaf->n_merges * item->c_numbers;
        k_padded += padded ? round_up_int(leaf->k_end - k, K_BLOCK) : leaf->k_end - k;
        k = leaf->k_end;
    }
}

void matmul_store_rows(float *out, int64_t out_stride, const float *c, int n_rows, int n_tokens)
{
    const size_t c_stride = (size_t)round_up_int(n_rows, PANEL);
    for (int t = 0; t < n_tokens; t++)
        memcpy(out + t * out_stride, c + (size_t)t * c_stride, (size_t)n_rows * sizeof *out);
}

static void add_bias(float *out, int64_t out_stride, const struct weight *bias,
                     const struct item *item)
{
    for (int t = 0; t < item->n_tokens; t++)
        for (int row = 0; row < item->n_rows; row++)
            out[t * out_stride + row] += widened(bias->data, bias->dtype, item->row + row);
}

static void store_parts(const struct drive *drive, const struct item *item)
{
    const struct matmul_args *args = drive->args;
    for (int part = 0; part < args->leaves->n_parts; part++) {
        const int64_t out_row = (int64_t)part * args->n_tokens + item->token;
        float *out = args->out + out_row * args->out_stride + item->row;
        drive->kernel->store(out, args->out_stride, item->c + (size_t)part * item->c_numbers,
                             item->n_rows, item->n_tokens);
        if (args->bias.data != NULL)
            add_bias(out, args->out_stride, &args->bias, item);
    }
}

static void run_item(void *context, int index, int thread)
{
    const struct drive *drive = context;
    const struct matmul_args *args = drive->args;
    struct item item = {
        .row = index / drive->n_strips * drive->item_rows,
        .token = index % drive->n_strips * drive->item_tokens,
        .c = drive->device->scratch[thread],
        .kernel_scratch = (char *)drive->device->scratch[thread] + C_BYTES,
    };
    const int end = min_int(item.row + drive->item_rows, args->n_out);
    item.n_tokens = min_int(drive->item_tokens, args->n_tokens - item.token);
    for (; item.row < end; item.row += item.n_rows) {
        item.n_rows = min_int(drive->kernel->unit_rows, end - item.row);
        item.c_numbers = (size_t)round_up_int(item.n_rows, PANEL) *
                         (size_t)round_up_int(item.n_tokens, TOKEN_GROUP);
        sum_parts(drive, &item);
        store_parts(drive, &item);
    }
}

void matmul_drive(struct device *device, const struct matmul_args *args,
                  const struct matmul_kernel *kernel)
{
    struct drive drive = {.device = device, .args = args, .kernel = kernel};
    drive.item_tokens = min_int(kernel->item_tokens, round_up_int(args->n_tokens, TOKEN_GROUP));
    drive.n_strips = (args->n_tokens + drive.item_tokens - 1) / drive.item_tokens;

    const int row_bytes = stack_depth(args->leaves) * drive.item_tokens * (int)sizeof(float);
    const int fit = kernel->unit_rows < ITEM_ROWS ? ITEM_ROWS : kernel->c_bytes / row_bytes;
    const int fair = args->n_out / (ITEMS_PER_THREAD * team_size(device->team)) * drive.n_strips;
    int rows = min_int(ITEM_ROWS, min_int(fit, fair)) / PANEL * PANEL;
    drive.item_rows = rows < PANEL ? PANEL : rows;
    const int n_runs = (args->n_out + drive.item_rows - 1) / drive.item_rows;
    team_run(device->team, run_item, &drive, n_runs * drive.n_strips);
}
