/* Frequencies that transformers 5.23 computes for the same config (LlamaRotaryEmbedding.inv_freq),
 * to two units of the last place of float32. */
#include "base/error.h"
#include "runtime/model/config.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/small_model.h"

#include <math.h>

enum { N_SAMPLES = 6 };

/* Samples of inv_freq at 0, 1, n/4, n/2, 3n/4, n - 1. */
struct reference {
    const char *keys; /* of config.json */
    int half;
    double scale;
    double want[N_SAMPLES];
};

static struct model_config config_with(const char *keys)
{
    struct small_model model = small_make("BF16");
    struct model_config config;
    struct error err = {0};
    small_write_config(&model, keys);
    const bool ok = model_config_read(&config, model.folder.path, &err);
    small_remove(&model);
    if (!ok)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return config;
}

static void check_reference(const struct reference *reference)
{
    const struct model_config config = config_with(reference->keys);
    const int n = reference->half;
    CHECK_EQ(config.rope_half, n);
    CHECK(fabs((double)config.rope[0].scale - reference->scale) < 1e-6);
    float inv_freq[ROPE_MAX_HALF];
    rope_inv_freq(&config.rope[0], inv_freq);
    const int at[N_SAMPLES] = {0, 1, n / 4, n / 2, 3 * n / 4, n - 1};
    for (int i = 0; i < N_SAMPLES; i++) {
        const double got = (double)inv_freq[at[i]], want = reference->want[i];
        if (!(fabs(got - want) <= 2 * 0x1p-23 * want))
            test_fail(__FILE__, __LINE__, "%s: inv_freq[%d] is %.9g, want %.9g", reference->keys,
                      at[i], got, want);
    }
}

TEST(rope_plain)
{
    check_reference(&(struct reference){
        "\"head_dim\": 64",
        32,
        1,
        {1, 0.749894202, 0.100000001, 0.00999999978, 0.00100000005, 0.00013335215}});
    check_reference(&(struct reference){
        "\"head_dim\": 128, \"rope_theta\": 500000.0",
        64,
        1,
        {1, 0.814617217, 0.0376060307, 0.00141421345, 5.31829573e-05, 2.4551407e-06}});
}

TEST(rope_linear_in_both_spellings)
{
    static const char *const keys[] = {
        "\"head_dim\": 64, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5}",
        "\"head_dim\": 64, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.5}",
        ("\"head_dim\": 64, \"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 2.5, "
         "\"rope_theta\": 10000.0}")};
    for (int i = 0; i < 3; i++)
        check_reference(&(struct reference){keys[i],
                                            32,
                                            1,
                                            {0.400000006, 0.299957693, 0.0399999991, 0.00399999972,
                                             0.000400000019, 5.33408602e-05}});
}

TEST(rope_llama3)
{
    check_reference(&(struct reference){
        "\"head_dim\": 64, \"rope_theta\": 500000.0, \"max_position_embeddings\": 131072, "
        "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 32.0, \"low_freq_factor\": 1.0, "
        "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}",
        32,
        1,
        {1, 0.663601279, 0.0376060307, 0.000429556705, 1.66196742e-06, 9.41830649e-08}});
    check_reference(&(struct reference){
        "\"head_dim\": 128, \"rope_theta\": 500000.0, \"max_position_embeddings\": 131072, "
        "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "
        "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}",
        64,
        1,
        {1, 0.814617217, 0.0376060307, 0.000524846022, 6.64786967e-06, 3.06892588e-07}});
}

TEST(rope_yarn)
{
    check_reference(&(struct reference){
        "\"head_dim\": 128, \"rope_theta\": 1000000.0, \"max_position_embeddings\": 32768, "
        "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, "
        "\"original_max_position_embeddings\": 32768}",
        64,
        1.138629436111989,
        {1, 0.805842221, 0.0316227786, 0.000602941145, 7.90569356e-06, 3.10234441e-07}});
    check_reference(&(struct reference){
        "\"head_dim\": 64, \"max_position_embeddings\": 8192, \"rope_scaling\": {\"rope_type\": "
        "\"yarn\", \"factor\": 8.0, \"original_max_position_embeddings\": 1024, \"beta_fast\": 16, "
        "\"beta_slow\": 2, \"truncate\": false, \"mscale\": 0.8, \"mscale_all_dim\": 0.5}",
        32,
        1.0565079928608092,
        {1, 0.749894202, 0.100000001, 0.00124999997, 0.000125000006, 1.66690188e-05}});
    check_reference(&(struct reference){
        "\"head_dim\": 64, \"max_position_embeddings\": 8192, \"rope_scaling\": {\"rope_type\": "
        "\"yarn\", \"factor\": 8.0, \"original_max_position_embeddings\": 1024, "
        "\"attention_factor\": 1.3}",
        32,
        1.3,
        {1, 0.749894202, 0.0798076987, 0.00259615388, 0.000125000006, 1.66690188e-05}});
}

#define FACTORS                                                            \
    "\"short_factor\": [1, 1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 1.875], " \
    "\"long_factor\": [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5]}"

TEST(rope_longrope_takes_the_factors_that_the_config_is_meant_for)
{
    check_reference(&(struct reference){
        "\"max_position_embeddings\": 131072, \"rope_scaling\": {\"type\": \"longrope\", "
        "\"factor\": 32.0, \"original_max_position_embeddings\": 4096, " FACTORS,
        8,
        1.1902380714238083,
        {1, 0.210818499, 0.0500000007, 0.00333333341, 0.000250000012, 7.02728357e-05}});
    check_reference(&(struct reference){
        "\"max_position_embeddings\": 4096, \"original_max_position_embeddings\": 4096, "
        "\"rope_scaling\": {\"type\": \"su\", " FACTORS,
        8,
        1,
        {1, 0.281091362, 0.0799999982, 0.00666666683, 0.000571428565, 0.000168654806}});
}

TEST(rope_dynamic_is_plain_and_ends_where_the_reference_would_change)
{
    const char *const keys =
        "\"head_dim\": 64, \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.5}";
    check_reference(&(struct reference){
        keys, 32, 1, {1, 0.749894202, 0.100000001, 0.00999999978, 0.00100000005, 0.00013335215}});
    CHECK_EQ(config_with(keys).max_positions, 256);
}

TEST(rope_linear_and_yarn_reach_as_far_as_they_stretch)
{
    CHECK_EQ(config_with("\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}").max_positions,
             1024);
    CHECK_EQ(config_with("\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, "
                         "\"original_max_position_embeddings\": 256}")
                 .max_positions,
             1024);
    CHECK_EQ(config_with(NULL).max_positions, 256);
}
