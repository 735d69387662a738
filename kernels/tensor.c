/* Sizes of operands: kernels/tensor.h has the layout. */
#include "kernels/tensor.h"

#include "base/check.h"

static int round_up(int n, int step) { return (n + step - 1) / step * step; }

int leaves_k(const struct leaves *leaves)
{
    check(leaves->n_leaves >= 1 && leaves->n_leaves <= MAX_LEAVES);
    return leaves->leaf[leaves->n_leaves - 1].k_end;
}

int leaves_k_padded(const struct leaves *leaves)
{
    int padded = 0, begin = 0;
    check(leaves->n_leaves >= 1 && leaves->n_leaves <= MAX_LEAVES);
    for (int i = 0; i < leaves->n_leaves; i++) {
        padded += round_up(leaves->leaf[i].k_end - begin, K_BLOCK);
        begin = leaves->leaf[i].k_end;
    }
    return padded;
}

bool leaves_valid(const struct leaves *leaves)
{
    if (leaves->n_leaves < 1 || leaves->n_leaves > MAX_LEAVES)
        return false;
    int depth = 0, begin = 0;
    for (int i = 0; i < leaves->n_leaves; i++) {
        const struct leaf *leaf = &leaves->leaf[i];
        if (leaf->k_end <= begin || leaf->n_merges < 0 || leaf->n_merges > depth)
            return false;
        depth += 1 - leaf->n_merges;
        begin = leaf->k_end;
    }
    return depth == leaves->n_parts && leaves->n_parts <= MAX_PARTS;
}

struct operand operand_make(void *data, enum dtype dtype, int n_tokens, const struct leaves *leaves)
{
    check(dtype == DTYPE_BF16 || dtype == DTYPE_F16 || dtype == DTYPE_F32);
    const int k = leaves_k(leaves);
    return (struct operand){
        .data = data,
        .dtype = dtype,
        .n_tokens = n_tokens,
        .k = k,
        .k_padded = dtype == DTYPE_F32 ? k : leaves_k_padded(leaves),
    };
}

size_t operand_bytes(enum dtype dtype, int n_tokens, const struct leaves *leaves)
{
    const struct operand operand = operand_make(NULL, dtype, n_tokens, leaves);
    check(n_tokens >= 0);
    return (size_t)n_tokens * (size_t)operand.k_padded * dtype_bytes(dtype);
}
