/* runtime/model/rope.h: the inverse frequencies of rotary position embeddings.
 *
 * cos and sin of position * inv_freq[i] rotate pair i of a head. The kinds differ in inv_freq and
 * in one scale of cos and sin:
 *   default   theta^(-2i / head_dim)                                   Su et al. 2021
 *   linear    positions divided by `factor`
 *   llama3    low frequencies divided by `factor`, a smooth step between
 *   yarn      the same idea over rotations, and a scale                Peng et al. 2023, 2309.00071
 *   longrope  one divisor for each frequency, and a scale              Ding et al. 2024, 2402.13753
 *   dynamic   default up to the length of training
 *
 * In the reference two kinds change their frequencies with the length of the sequence: dynamic
 * grows theta, longrope goes from short_factor to long_factor. Then a token would depend on tokens
 * that come after it, against the promise of docs/numerics.md. So here the config alone decides:
 * dynamic ends at the length of training, up to where it is the plain rope; longrope takes
 * long_factor where the model is meant for more than the length of training, for short sequences
 * too.
 *
 * Steps are rounded to float32 where transformers rounds, so that results agree with it.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct error;

enum rope_type {
    ROPE_DEFAULT,
    ROPE_LINEAR,
    ROPE_DYNAMIC,
    ROPE_YARN,
    ROPE_LONGROPE,
    ROPE_LLAMA3,
    ROPE_TYPES
};
enum { ROPE_MAX_HALF = 256 };

struct rope_config {
    enum rope_type type;
    double theta;
    double factor;                            /* all but default */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double beta_fast, beta_slow;              /* yarn */
    bool truncate;                            /* yarn */
    int half;                     /* rotated pairs: the first 2 * half elements of a head */
    int trained_positions;        /* length of training: original_max_position_embeddings */
    float scale;                  /* of cos and sin */
    float divisor[ROPE_MAX_HALF]; /* longrope: long_factor or short_factor */
};

/* Where config.json has the parameters, and what holds where it is silent. */
struct rope_keys {
    const char *layer_type; /* they are a set of `rope_parameters` of this name; NULL: all of it */
    const char *theta;      /* "rope_theta" */
    double absent_theta;
    bool scaled; /* `rope_scaling` is meant for them */
};

/* From `rope_parameters`, or `rope_scaling` with its rope_type or type; theta and
 * partial_rotary_factor in there or beside it. ERROR_INPUT names the key. */
bool rope_read(struct rope_config *out, const json_t *config, const struct rope_keys *keys,
               int head_dim, int max_position_embeddings, struct error *err);
/* The longest sequence that these frequencies are meant for. */
int rope_max_positions(const struct rope_config *rope, int max_position_embeddings);
/* inv_freq[rope->half] */
void rope_inv_freq(const struct rope_config *rope, float *inv_freq);
