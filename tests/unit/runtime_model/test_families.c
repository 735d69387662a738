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
    static const char *const names[] = {"Qwen2ForCausalLM"};
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
    static const char *const names[] = {"MistralForCausalLM", "Qwen2ForCausalLM"};
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

TEST(every_family_comes_with_a_head_of_scores_and_without_a_head)
{
    static const char *const names[] = {"Llama", "Mistral", "Phi3", "Qwen2"};
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
    refused(name, "\"num_labels\": 0", ERROR_INPUT, "\"num_labels\" is 0");
    refused(name, "\"num_labels\": 100000", ERROR_INPUT, "\"num_labels\" is 100000");
    refused(name, "\"id2label\": {}", ERROR_INPUT, "\"id2label\" is empty");
}
