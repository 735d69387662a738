/* What each family makes of config.json: which layers see a window, what the heads give, and what a
 * key that is left out means. */
#include "base/error.h"
#include "runtime/model/config.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/small_model.h"

#include <stdio.h>
#include <string.h>

static bool read_with(const char *architecture, const char *keys, struct model_config *config,
                      struct error *err)
{
    struct small_model model = small_make("BF16");
    char text[1024];
    *err = (struct error){0};
    snprintf(text, sizeof text, "\"architectures\": [\"%s\"]%s%s", architecture,
             keys[0] ? ", " : "", keys);
    small_write_config(&model, text);
    const bool ok = model_config_read(config, model.folder.path, err);
    small_remove(&model);
    return ok;
}

static struct model_config taken(const char *architecture, const char *keys)
{
    struct model_config config;
    struct error err;
    if (!read_with(architecture, keys, &config, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return config;
}

static void refused(const char *architecture, const char *keys, enum error_kind kind,
                    const char *text)
{
    struct model_config config;
    struct error err;
    if (read_with(architecture, keys, &config, &err))
        test_fail(__FILE__, __LINE__, "{%s} was not refused", keys);
    if (err.kind != kind || strstr(err.text, text) == NULL)
        test_fail(__FILE__, __LINE__, "{%s}: kind %d, \"%s\" where \"%s\" is wanted", keys,
                  err.kind, err.text, text);
}

/* "00 16 16": the windows of the first three layers. */
static void check_windows(const char *architecture, const char *keys, int first, int second,
                          int third)
{
    char text[512];
    snprintf(text, sizeof text, "\"num_hidden_layers\": 3, %s", keys);
    const struct model_config config = taken(architecture, text);
    CHECK_EQ(config.window[0], first);
    CHECK_EQ(config.window[1], second);
    CHECK_EQ(config.window[2], third);
}

TEST(every_layer_of_mistral_sees_its_window)
{
    check_windows("MistralForCausalLM", "\"sliding_window\": 16", 16, 16, 16);
    check_windows("MistralForCausalLM", "\"sliding_window\": null", 0, 0, 0);
    check_windows("MistralForCausalLM", "\"max_position_embeddings\": 8192", 4096, 4096, 4096);
    refused("MistralForCausalLM", "\"sliding_window\": 0", ERROR_INPUT, "\"sliding_window\" is 0");
    refused("MistralForCausalLM", "\"sliding_window\": \"16\"", ERROR_INPUT, "\"sliding_window\"");
}

TEST(the_upper_layers_of_qwen_see_a_window_if_it_is_used)
{
    static const char *const names[] = {"Qwen2ForCausalLM", "Qwen3ForCausalLM"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
#define USED "\"use_sliding_window\": true, \"sliding_window\": 16, "
        check_windows(names[i], USED "\"max_window_layers\": 1", 0, 16, 16);
        check_windows(names[i], USED "\"max_window_layers\": 3", 0, 0, 0);
        check_windows(names[i], "\"sliding_window\": 16, \"max_window_layers\": 0", 0, 0, 0);
        check_windows(names[i], "\"sliding_window\": null, \"max_window_layers\": 0", 0, 0, 0);
    }
}

TEST(a_window_as_long_as_the_longest_sequence_is_none)
{
    check_windows("MistralForCausalLM", "\"sliding_window\": 255", 255, 255, 255);
    check_windows("MistralForCausalLM", "\"sliding_window\": 256", 0, 0, 0);
}

TEST(layer_types_say_which_layers_see_a_window)
{
#define TYPES "\"sliding_window\": 16, \"use_sliding_window\": true, \"layer_types\": "
    static const char *const names[] = {"MistralForCausalLM", "Qwen2ForCausalLM",
                                        "Qwen3ForCausalLM", "Gemma2ForCausalLM"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        check_windows(names[i],
                      TYPES "[\"sliding_attention\", \"full_attention\", \"sliding_attention\"]",
                      16, 0, 16);
        refused(names[i], TYPES "[]", ERROR_INPUT, "\"layer_types\" has 0 items, want a list of 1");
        refused(names[i], TYPES "[\"linear_attention\"]", ERROR_UNSUPPORTED,
                "\"layer_types\", layer 0: \"linear_attention\"");
        refused(names[i], TYPES "[3]", ERROR_UNSUPPORTED, "layer 0: \"(no text)\"");
        refused(names[i], "\"layer_types\": [\"sliding_attention\"], \"sliding_window\": null",
                ERROR_INPUT, "sliding_attention without a \"sliding_window\"");
    }
}

TEST(phi3_rotates_a_part_of_each_head)
{
    const struct model_config config = taken("Phi3ForCausalLM", "\"partial_rotary_factor\": 0.75");
    CHECK_EQ(config.head_dim, 16);
    CHECK_EQ(config.rope_half, 6);
    CHECK(config.attention_scale == 0.25f);
    CHECK_EQ(taken("Phi3ForCausalLM", "").rope_half, 8);
    CHECK(taken("Phi3ForCausalLM", "\"rms_norm_eps\": null").norm_eps == 1e-5f);
    refused("Phi3ForCausalLM", "\"partial_rotary_factor\": 0.7", ERROR_INPUT,
            "\"partial_rotary_factor\" is 0.7: 11 elements of a head of 16");
    refused("Phi3ForCausalLM", "\"partial_rotary_factor\": 0", ERROR_INPUT,
            "\"partial_rotary_factor\" is 0: 0 elements");
    refused("Phi3ForCausalLM", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}",
            ERROR_UNSUPPORTED, "longrope, or none");
}

TEST(qwen3_has_a_head_dim_of_its_own)
{
    CHECK_EQ(taken("Qwen3ForCausalLM", "").head_dim, 128);
    CHECK_EQ(taken("Qwen3ForCausalLM", "\"head_dim\": 32").head_dim, 32);
    const struct model_config biased = taken("Qwen3ForCausalLM", "\"attention_bias\": true");
    CHECK(biased.attention_bias && biased.o_bias);
    CHECK(!taken("Qwen3ForCausalLM", "").attention_bias);
}

TEST(gemma2_without_keys_is_as_it_was_published)
{
    const struct model_config config = taken("Gemma2ForCausalLM", "");
    CHECK(config.tied);
    CHECK_EQ(config.head_dim, 256);
    CHECK(config.attention_scale == 1.0f / 16);
    CHECK(config.attention_softcap == 50.0f && config.logit_softcap == 30.0f);
    CHECK(config.norm_offset == 1.0f && config.embedding_scale == 8.0);
    CHECK_EQ(config.activation, ACTIVATION_GELU_TANH);
    CHECK_EQ(config.n_ropes, 1);
    check_windows("Gemma2ForCausalLM", "\"max_position_embeddings\": 8192", 4096, 0, 4096);
}

TEST(gemma2_tells_no_cap_from_a_cap_that_is_not_given)
{
    const struct model_config config =
        taken("Gemma2ForCausalLM", "\"attn_logit_softcapping\": null, "
                                   "\"final_logit_softcapping\": null, "
                                   "\"query_pre_attn_scalar\": 64, \"tie_word_embeddings\": false");
    CHECK(config.attention_softcap == 0.0f && config.logit_softcap == 0.0f);
    CHECK(config.attention_scale == 0.125f);
    CHECK(!config.tied);
    refused("Gemma2ForCausalLM", "\"attn_logit_softcapping\": 0", ERROR_INPUT,
            "\"attn_logit_softcapping\"");
    refused("Gemma2ForCausalLM", "\"final_logit_softcapping\": -1", ERROR_INPUT,
            "\"final_logit_softcapping\"");
    refused("Gemma2ForCausalLM", "\"query_pre_attn_scalar\": 0", ERROR_INPUT,
            "\"query_pre_attn_scalar\"");
}

TEST(gemmas_have_gelu_and_look_back_only)
{
    static const char *const names[] = {"Gemma2ForCausalLM", "Gemma3ForCausalLM"};
    for (int i = 0; i < 2; i++) {
        refused(names[i], "\"hidden_activation\": \"silu\"", ERROR_UNSUPPORTED,
                "\"hidden_activation\" is \"silu\", want gelu_pytorch_tanh");
        taken(names[i], "\"hidden_activation\": \"gelu_pytorch_tanh\", \"hidden_act\": \"gelu\"");
        refused(names[i], "\"use_bidirectional_attention\": true", ERROR_UNSUPPORTED,
                "\"use_bidirectional_attention\"");
    }
}

TEST(gemma3_rotates_windowed_layers_by_other_frequencies)
{
    const struct model_config config = taken(
        "Gemma3ForCausalLM", "\"num_hidden_layers\": 6, \"sliding_window\": 32, \"rope_scaling\": "
                             "{\"rope_type\": \"linear\", \"factor\": 8}");
    CHECK_EQ(config.n_ropes, 2);
    CHECK_EQ(config.rope_of[4], 1);
    CHECK_EQ(config.rope_of[5], 0);
    CHECK_EQ(config.window[4], 32);
    CHECK_EQ(config.window[5], 0);
    CHECK(config.rope[0].theta == 1e6 && config.rope[1].theta == 1e4);
    CHECK(config.rope[0].type == ROPE_LINEAR && config.rope[0].factor == 8);
    CHECK_EQ(config.rope[1].type, ROPE_DEFAULT);
    CHECK_EQ(config.max_positions, 256); /* counts the stretched positions */
    CHECK(config.logit_softcap == 0.0f && config.attention_softcap == 0.0f);
}

TEST(gemma3_keeps_the_frequencies_of_a_window_that_is_none)
{
    const struct model_config config = taken("Gemma3ForCausalLM", "\"sliding_window\": 1024");
    CHECK_EQ(config.window[0], 0);
    CHECK_EQ(config.rope_of[0], 1);
}

TEST(gemma3_reads_the_keys_of_transformers_5)
{
    const struct model_config config = taken(
        "Gemma3ForCausalLM",
        "\"num_hidden_layers\": 2, \"sliding_window\": 32, \"layer_types\": "
        "[\"full_attention\", \"sliding_attention\"], \"rope_parameters\": {\"full_attention\": "
        "{\"rope_type\": \"linear\", \"factor\": 4, \"rope_theta\": 5e5}, \"sliding_attention\": "
        "{\"rope_type\": \"default\", \"rope_theta\": 2e4}}");
    CHECK(config.rope_of[0] == 0 && config.rope_of[1] == 1);
    CHECK(config.rope[0].theta == 5e5 && config.rope[0].factor == 4);
    CHECK(config.rope[1].theta == 2e4 && config.rope[1].type == ROPE_DEFAULT);
}

TEST(gemma3_refuses_what_its_models_do_not_have)
{
    static const char name[] = "Gemma3ForCausalLM";
    refused(name, "\"attn_logit_softcapping\": 50.0", ERROR_UNSUPPORTED,
            "\"attn_logit_softcapping\"");
    taken(name, "\"attn_logit_softcapping\": null");
    refused(name, "\"sliding_window\": null", ERROR_INPUT, "\"sliding_window\" is null");
    refused(name, "\"sliding_window_pattern\": 0", ERROR_INPUT, "\"sliding_window_pattern\"");
    refused(name, "\"rope_parameters\": {\"rope_type\": \"default\"}", ERROR_UNSUPPORTED,
            "\"rope_parameters\" is one set for all layers");
    refused(name, "\"rope_parameters\": {\"sliding_attention\": {\"rope_theta\": 0}}", ERROR_INPUT,
            "\"rope_theta\"");
    refused(name, "\"rope_local_base_freq\": -1", ERROR_INPUT, "\"rope_local_base_freq\"");
    refused(name, "\"rope_parameters\": [1]", ERROR_INPUT, "\"rope_parameters\" is no object");
}

TEST(gemma3_has_text_in_the_names_of_its_other_heads)
{
    CHECK(!taken("Gemma3TextModel", "").generates);
    CHECK_EQ(taken("Gemma3TextForSequenceClassification", "").n_labels, 2);
}

TEST(every_family_comes_with_a_head_of_scores_and_without_a_head)
{
    static const char *const names[] = {"Gemma2", "Llama", "Mistral", "Phi3", "Qwen2", "Qwen3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "%sForCausalLM", names[i]);
        CHECK(taken(name, "").generates);
        CHECK_EQ(taken(name, "\"num_labels\": 5").n_labels, 0);
        snprintf(name, sizeof name, "%sModel", names[i]);
        CHECK(!taken(name, "").generates);
        CHECK_EQ(taken(name, "").n_labels, 0);
        snprintf(name, sizeof name, "%sForSequenceClassification", names[i]);
        CHECK(!taken(name, "").generates);
        CHECK_EQ(taken(name, "").n_labels, 2);
        CHECK_STR(taken(name, "").architecture, name);
    }
}

TEST(the_number_of_labels_is_given_or_that_of_their_names)
{
    static const char name[] = "LlamaForSequenceClassification";
    CHECK_EQ(taken(name, "\"num_labels\": 5").n_labels, 5);
    CHECK_EQ(taken(name, "\"id2label\": {\"0\": \"good\", \"1\": \"bad\", \"2\": \"?\"}").n_labels,
             3);
    CHECK_EQ(taken(name, "\"id2label\": {\"0\": \"LABEL_0\"}").n_labels, 1);
    CHECK_EQ(taken(name, "\"num_labels\": 5, \"id2label\": {\"0\": \"LABEL_0\"}").n_labels, 1);
    CHECK_EQ(taken(name, "\"num_labels\": 5, \"id2label\": null").n_labels, 5);
    refused(name, "\"num_labels\": 0", ERROR_INPUT, "\"num_labels\" is 0");
    refused(name, "\"num_labels\": 100000", ERROR_INPUT, "\"num_labels\" is 100000");
    refused(name, "\"id2label\": {}", ERROR_INPUT, "\"id2label\" is no object with 1 to");
    refused(name, "\"id2label\": [\"good\"]", ERROR_INPUT, "\"id2label\" is no object");
}
